// Seeded random numbers that are the same on every machine and compiler, unlike the distributions
// of the standard library.
#ifndef FASTVLM_TRAIN_SCENE_RANDOM_H_
#define FASTVLM_TRAIN_SCENE_RANDOM_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace fastvlm::train {

// splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t Next() {
    state_ += 0x9e3779b97f4a7c15u;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // [0, 1)
  float Uniform() { return static_cast<float>(Next() >> 40) * 0x1p-24f; }
  float Between(float low, float high) { return low + (high - low) * Uniform(); }
  // 0..count-1; count > 0. The bias of the multiplication is below count / 2^32.
  int Below(int count) {
    return static_cast<int>(((Next() >> 32) * static_cast<uint64_t>(count)) >> 32);
  }
  int From(int low, int high) { return low + Below(high - low + 1); }  // both ends included
  bool Chance(double probability) { return static_cast<double>(Uniform()) < probability; }

  template <typename T>
  const T& Pick(const std::vector<T>& items) {
    return items[static_cast<size_t>(Below(static_cast<int>(items.size())))];
  }
  template <typename T>
  T Pick(std::initializer_list<T> items) {
    return items.begin()[Below(static_cast<int>(items.size()))];
  }

  // An index with probability in proportion to its weight; the weights' sum is above 0.
  int Weighted(const float* weights, int count);

 private:
  uint64_t state_;
};

// Sine and cosine by series, since the C library's last bit differs between machines.
// |angle| <= 2 pi; error below 1e-5.
float Sine(float angle);
float Cosine(float angle);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_RANDOM_H_
