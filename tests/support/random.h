// Random test data whose seed is printed when a test fails.
#ifndef FASTVLM_TESTS_SUPPORT_RANDOM_H_
#define FASTVLM_TESTS_SUPPORT_RANDOM_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace fastvlm {

// FASTVLM_TEST_SEED of the environment, otherwise 1, so that a run repeats.
inline uint32_t TestSeed() {
  const char* text = std::getenv("FASTVLM_TEST_SEED");
  return text == nullptr ? 1u : static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

class TestRandom {
 public:
  TestRandom()
      : seed_(TestSeed()),
        generator_(seed_),
        trace_(__FILE__, __LINE__, ::testing::Message() << "seed " << seed_) {}

  float Uniform(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(generator_);
  }
  int Integer(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(generator_);
  }
  template <typename T>
  void Fill(T* data, size_t size, float low, float high) {
    for (size_t i = 0; i < size; ++i) data[i] = Uniform(low, high);
  }

 private:
  uint32_t seed_;
  std::mt19937 generator_;
  ::testing::ScopedTrace trace_;
};

inline std::vector<float> RandomValues(TestRandom& random, int64_t count, float low, float high) {
  std::vector<float> values(static_cast<size_t>(count));
  random.Fill(values.data(), values.size(), low, high);
  return values;
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_RANDOM_H_
