// How close visual tokens are to those of a reference.
#ifndef FASTVLM_MEASURE_TOKEN_COSINE_H_
#define FASTVLM_MEASURE_TOKEN_COSINE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>

namespace fastvlm {

// The cosine of the angle between two vectors: at most 1, and exactly 1 if they are equal. NaN if a
// value is not finite.
inline double Cosine(const float* a, const float* b, int64_t size) {
  if (std::equal(a, a + size, b)) return 1;
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < size; ++i) {
    const double x = a[i], y = b[i];
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  if (aa == 0 || bb == 0) return aa == bb ? 1 : 0;
  const double cosine = ab / std::sqrt(aa * bb);
  return cosine > 1 ? 1 : cosine;
}

// The mean and the least cosine over the tokens of any number of pictures.
class TokenCosine {
 public:
  // Both are [tokens, hidden]. A token with values that are not finite counts with -1.
  void Add(std::span<const float> reference, std::span<const float> candidate, int64_t hidden) {
    for (size_t at = 0; at < reference.size(); at += static_cast<size_t>(hidden)) {
      double cosine = Cosine(reference.data() + at, candidate.data() + at, hidden);
      if (!std::isfinite(cosine)) cosine = -1;
      sum_ += cosine;
      worst_ = std::min(worst_, cosine);
      ++tokens_;
    }
  }
  double mean() const { return tokens_ == 0 ? 1 : sum_ / static_cast<double>(tokens_); }
  double worst() const { return worst_; }
  int64_t tokens() const { return tokens_; }

 private:
  double sum_ = 0;
  double worst_ = 1;
  int64_t tokens_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_MEASURE_TOKEN_COSINE_H_
