// `fastvlm verify` on a tiny model, against what transformers computes from it (docs/GOLDENS.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "program.h"
#include "support/hub_server.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kCase = "tied_192x64";

class VerifyTest : public ::testing::Test {
 protected:
  VerifyTest() {
    const Json golden = Json::parse(ReadAll(kGoldenData + "cases.json"))["cases"][kCase];
    ids_ = golden["greedy_ids"];
    Json check;
    check["image"] = kGoldenData + "images/" + golden["images"][0].get<std::string>();
    check["prompt"] = golden["prompt"];
    check["fit"] = golden["mode"];
    check["width"] = golden["width"];
    check["height"] = golden["height"];
    check["prompt_tokens"] = golden["ids"].size() - 1 + golden["image_tokens"][0].get<size_t>();
    check["logits"] = Logits();
    check["tolerance"] = tolerance_;
    check["max_tokens"] = golden["max_new_tokens"];
    check["token_ids"] = ids_;
    golden_["model"] = "tiny";
    golden_["source"] = "transformers";
    golden_["checks"].push_back(check);
  }

  // The kept logits of the prompt's last token, by id.
  Json Logits() {
    const std::string path = kGoldenData + kCase + ".safetensors";
    const MappedFile file = MappedFile::Open(path).value();
    std::map<std::string, Tensor> tensors;
    const std::vector<StoredTensor> all = ParseSafetensors(file.bytes(), path).value();
    for (const StoredTensor& stored : all) tensors.emplace(stored.tensor.name, stored.tensor);
    int64_t meta[3];  // stride, tokens, vocabulary
    std::memcpy(meta, tensors.at("logits.meta").data, sizeof meta);
    const std::vector<float> sample = tensors.at("logits.sample").ToF32();
    Json logits = Json::object();
    for (size_t i = 0; i < sample.size(); ++i) {
      const int64_t id = static_cast<int64_t>(i) * meta[0] - (meta[1] - 1) * meta[2];
      if (id >= 0) logits[std::to_string(id)] = sample[i];
    }
    EXPECT_GT(logits.size(), 10u);
    tolerance_ = 5e-5 * double{tensors.at("logits.scale").ToF32()[0]};
    return logits;
  }

  ProgramResult Verify(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"verify", "--model", kTinyModel, "--golden",
                                          scratch_.Write("golden.json", golden_.dump())};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Fastvlm(arguments, "", {"XDG_CACHE_HOME=" + (scratch_ / "cache")});
  }
  Json& Check() { return golden_["checks"][0]; }

  ScratchDirectory scratch_;
  Json ids_;
  Json golden_;
  double tolerance_ = 0;
};

TEST_F(VerifyTest, TheReferencesOwnNumbersPass) {
  const ProgramResult result = Verify();
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("against tiny: transformers"),
                                HasSubstr("pass: all 3 checks"), Not(HasSubstr("MISS"))));
  const Json report = Json::parse(Verify({"--json"}).out);
  EXPECT_EQ(report["passed"], true);
  ASSERT_EQ(report["checks"].size(), 3u);
  EXPECT_LE(report["checks"][1]["difference"].get<double>(), tolerance_);
}

TEST_F(VerifyTest, AWrongLogitMissesByHowMuch) {
  Json& logit = Check()["logits"].begin().value();
  logit = logit.get<double>() + 0.5;
  const ProgramResult result = Verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("MISS  logits"), HasSubstr("largest difference 0.5"),
                                HasSubstr("MISS: 1 of 3 checks")));
}

TEST_F(VerifyTest, WrongWordsMiss) {
  Check()["token_ids"][3] = ids_[3].get<int>() + 1;
  ProgramResult result = Verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, AllOf(HasSubstr("MISS  answer"), HasSubstr("another token at place 4")));
  Check()["token_ids"] = ids_;
  Check()["contains"] = Json::array({"two cats"});
  result = Verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.out, HasSubstr("it contains \"two cats\""));
  Check().erase("contains");
  Check()["prompt_tokens"] = 280;
  EXPECT_THAT(Verify().out, HasSubstr("MISS  tokens of the prompt"));
}

// Arithmetic with less precision does not give the reference's numbers.
TEST_F(VerifyTest, AnotherPrecisionMisses) {
  EXPECT_EQ(Verify({"--precision", "q4"}).exit_code, 1);
}

TEST_F(VerifyTest, PicturesAreFetchedOnce) {
  HubServer server;
  server.Add("p.png", ReadAll(Check()["image"]));
  Check()["image"] = server.endpoint() + "/cdn/p.png";
  EXPECT_EQ(Verify().exit_code, 0);
  EXPECT_EQ(Verify().exit_code, 0);
  EXPECT_EQ(server.requests().size(), 1u);
  Check()["image"] = server.endpoint() + "/cdn/none.png";
  const ProgramResult result = Verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("HTTP 404"), HasSubstr("--image")));
  EXPECT_EQ(Verify({"--image", kOtherImage}).exit_code, 1) << "another picture, other numbers";
}

TEST_F(VerifyTest, AModelWithoutPublishedValues) {
  const ProgramResult result = Fastvlm({"verify", "--model", kTinyModel});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr("nobody has published"), HasSubstr("--golden")));
  EXPECT_EQ(result.out, "");
}

TEST_F(VerifyTest, BadFiles) {
  Check()["logits"]["100000"] = 1;
  EXPECT_THAT(Verify().err, HasSubstr("100000"));
  golden_ = Json::array();
  const ProgramResult result = Verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("golden.json"));
}

}  // namespace
}  // namespace fastvlm
