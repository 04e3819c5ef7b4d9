#include "runtime/sampler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

constexpr float kInf = std::numeric_limits<float>::infinity();

SamplingOptions AtTemperature(float temperature) {
  SamplingOptions options;
  options.temperature = temperature;
  options.top_k = 0;
  return options;
}

// Share of each token in many draws from the same logits.
std::map<int32_t, double> Shares(const SamplingOptions& options, const std::vector<float>& logits) {
  Sampler sampler(options, static_cast<int64_t>(logits.size()));
  constexpr int kDraws = 20000;
  std::map<int32_t, double> shares;
  for (int i = 0; i < kDraws; ++i) {
    std::vector<float> copy = logits;
    shares[sampler.Next(copy)] += 1.0 / kDraws;
  }
  return shares;
}

TEST(Sampler, TemperatureZeroTakesTheFirstMaximum) {
  Sampler sampler({}, 4);
  std::vector<float> logits = {1, 3, 3, -kInf};
  EXPECT_EQ(sampler.Next(logits), 1);
}

TEST(Sampler, SharesFollowTheSoftmax) {
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f), -kInf};
  const auto shares = Shares(AtTemperature(1), logits);
  EXPECT_NEAR(shares.at(0), 0.125, 0.01);
  EXPECT_NEAR(shares.at(1), 0.25, 0.01);
  EXPECT_NEAR(shares.at(2), 0.625, 0.01);
  EXPECT_EQ(shares.count(3), 0u);
}

TEST(Sampler, TemperatureSharpens) {
  const auto shares = Shares(AtTemperature(0.5f), {0, std::log(3.0f)});
  EXPECT_NEAR(shares.at(1), 0.9, 0.01);
}

TEST(Sampler, TopKKeepsTheMostLikely) {
  SamplingOptions options = AtTemperature(1);
  options.top_k = 2;
  const auto shares = Shares(options, {0, 1, 2, 0.5f});
  EXPECT_EQ(shares.size(), 2u);
  EXPECT_NEAR(shares.at(2), 1 / (1 + std::exp(-1.0)), 0.01);
}

// Against sorting, ties and all.
TEST(Sampler, TopKOfManyAreTheFirstOfThemSorted) {
  constexpr int kTokens = 200;
  std::vector<float> logits(kTokens);
  for (int i = 0; i < kTokens; ++i) {
    logits[static_cast<size_t>(i)] = static_cast<float>(i * 7919 % 61);
  }
  logits[7] = std::nanf("");
  logits[8] = kInf;
  for (const int k : {1, 2, 50, 199, 200, 201}) {
    std::vector<int32_t> sorted;
    for (int32_t i = 0; i < kTokens; ++i) {
      if (i != 7 && i != 8) sorted.push_back(i);
    }
    std::stable_sort(sorted.begin(), sorted.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    sorted.resize(std::min(sorted.size(), static_cast<size_t>(k)));
    SamplingOptions options = AtTemperature(100);  // nearly equal shares
    options.top_k = k;
    const auto shares = Shares(options, logits);
    for (const auto& [token, share] : shares) {
      EXPECT_NE(std::find(sorted.begin(), sorted.end(), token), sorted.end()) << k << ' ' << token;
    }
    EXPECT_EQ(shares.size(), sorted.size()) << k;
  }
}

TEST(Sampler, AlmostColdIsCold) {
  for (const float temperature : {1e-40f, 1e-37f, 1e-20f, 1e-8f}) {
    for (const int k : {0, 2}) {
      SamplingOptions options = AtTemperature(temperature);
      options.top_k = k;
      Sampler sampler(options, 3);
      std::vector<float> logits = {20, 30, 29.9f};
      EXPECT_EQ(sampler.Next(logits), 1) << temperature;
    }
  }
}

TEST(Sampler, TopPKeepsTheSmallestSufficientSet) {
  SamplingOptions options = AtTemperature(1);
  options.top_p = 0.75f;
  const auto shares =
      Shares(options, {std::log(0.5f), std::log(0.3f), std::log(0.15f), std::log(0.05f)});
  EXPECT_EQ(shares.count(2), 0u);
  EXPECT_NEAR(shares.at(0), 0.625, 0.01);
}

TEST(Sampler, TopPKeepsAtLeastOne) {
  SamplingOptions options = AtTemperature(1);
  options.top_p = 1e-6f;
  EXPECT_EQ(Shares(options, {0, 4, 1}).size(), 1u);
}

TEST(Sampler, MinPDropsTheUnlikely) {
  SamplingOptions options = AtTemperature(1);
  options.min_p = 0.5f;
  const auto shares = Shares(options, {std::log(0.5f), std::log(0.3f), std::log(0.2f)});
  EXPECT_EQ(shares.count(2), 0u);
  EXPECT_NEAR(shares.at(1), 0.375, 0.01);
}

TEST(Sampler, RepetitionPenaltyActsOnBothSigns) {
  SamplingOptions options;
  options.repetition_penalty = 2;
  Sampler sampler(options, 3);
  std::vector<float> logits = {4, 3, -1};
  sampler.Observe(0);
  EXPECT_EQ(sampler.Next(logits), 1);
  EXPECT_EQ(logits[0], 2.0f);
  std::vector<float> negative = {-1, -1.5f, -4};
  EXPECT_EQ(sampler.Next(negative), 1);
  EXPECT_EQ(negative[0], -2.0f);
}

TEST(Sampler, FrequencyCountsAndPresenceDoesNot) {
  SamplingOptions options;
  options.frequency_penalty = 0.5f;
  options.presence_penalty = 1;
  Sampler sampler(options, 3);
  for (int32_t token : {0, 0, 0, 1}) sampler.Observe(token);
  std::vector<float> logits = {4, 3, -1};
  EXPECT_EQ(sampler.Next(logits), 0);  // the lower id of two equals
  EXPECT_EQ(logits, (std::vector<float>{1.5f, 1.5f, -1}));
}

// With top-k as large as the vocabulary nothing is sorted; what may be drawn stays the same.
TEST(Sampler, TopPOfAWholeVocabularyIsThatOfASortedOne) {
  constexpr size_t kTokens = 150;
  std::vector<float> logits(kTokens);
  for (size_t i = 0; i < kTokens; ++i) {
    logits[i] = static_cast<float>(i * 7919 % 29) / 8;  // each value five times
  }
  logits[3] = -kInf;
  std::vector<float> sorted = logits;
  std::stable_sort(sorted.begin(), sorted.end(), std::greater<>());
  double total = 0;
  for (const float logit : sorted) total += std::exp(logit);
  for (const float top_p : {0.001f, 0.05f, 0.5f, 0.9f, 0.999f}) {
    size_t kept = 0;
    for (double sum = 0; sum < double{top_p} * total; ++kept) sum += std::exp(sorted[kept]);
    SamplingOptions options = AtTemperature(1);
    options.top_p = top_p;
    const auto whole = Shares(options, logits);
    for (const auto& [token, share] : whole) {
      EXPECT_GE(logits[static_cast<size_t>(token)], sorted[kept - 1]) << top_p;
    }
    EXPECT_LE(whole.size(), kept) << top_p;
    if (kept < 60) {  // enough draws for each
      EXPECT_EQ(whole.size(), kept) << top_p;
    }
    options.top_k = static_cast<int>(kTokens) - 2;
    const auto cut = Shares(options, logits);
    double ours = 0, theirs = 0;  // the mean logit
    for (const auto& [token, share] : whole) ours += share * logits[static_cast<size_t>(token)];
    for (const auto& [token, share] : cut) theirs += share * logits[static_cast<size_t>(token)];
    EXPECT_NEAR(ours, theirs, 0.03) << top_p;
  }
}

TEST(Sampler, SameSeedSameDraws) {
  SamplingOptions options = AtTemperature(1);
  const std::vector<float> logits(50, 0.0f);
  const auto draws = [&](uint64_t seed) {
    options.seed = seed;
    Sampler sampler(options, 50);
    std::vector<int32_t> tokens;
    for (int i = 0; i < 20; ++i) {
      std::vector<float> copy = logits;
      tokens.push_back(sampler.Next(copy));
    }
    return tokens;
  };
  EXPECT_EQ(draws(7), draws(7));
  EXPECT_NE(draws(7), draws(8));
}

TEST(Sampler, NeverDrawsWhatIsNotANumber) {
  for (float temperature : {0.0f, 1.0f}) {
    Sampler sampler(AtTemperature(temperature), 3);
    std::vector<float> one = {std::nanf(""), 1, kInf};
    EXPECT_EQ(sampler.Next(one), 1);
    std::vector<float> none = {std::nanf(""), -kInf, kInf};
    EXPECT_EQ(sampler.Next(none), -1);
  }
}

TEST(Sampler, RangesAreChecked) {
  const auto message = [](auto change) {
    SamplingOptions options;
    change(options);
    return ValidateSampling(options).message();
  };
  EXPECT_EQ(message([](SamplingOptions&) {}), "");
  EXPECT_THAT(message([](SamplingOptions& o) { o.temperature = -1; }),
              HasSubstr("temperature is -1"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.temperature = std::nanf(""); }),
              HasSubstr("temperature"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.top_k = -1; }),
              HasSubstr("top_k is -1, expected a number of at least 0"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.top_p = 0; }),
              HasSubstr("top_p is 0, expected a number above 0, at most 1"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.min_p = 1.5f; }),
              HasSubstr("min_p is 1.5, expected a number from 0 to 1"));
  EXPECT_THAT(message([](SamplingOptions& o) { o.repetition_penalty = 0; }),
              HasSubstr("repetition_penalty"));
}

}  // namespace
}  // namespace fastvlm
