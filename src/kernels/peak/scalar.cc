#include <algorithm>
#include <cstdint>
#include <numeric>

#include "kernels/peak/peak.h"

namespace fastvlm::scalar {

double PeakF32(long iterations, float* sink) {
  float sums[kPeakSinkFloats] = {};
  for (long n = 0; n < iterations; ++n) {
    for (float& sum : sums) sum = sum * sink[0] + sink[1];
  }
  std::copy_n(sums, kPeakSinkFloats, sink);
  return 2.0 * kPeakSinkFloats * static_cast<double>(iterations);
}

double PeakInt8(long iterations, float* sink) {
  uint32_t sums[kPeakSinkFloats] = {};
  const auto a = static_cast<uint32_t>(sink[0]);
  const auto b = static_cast<uint32_t>(sink[1]);
  for (long n = 0; n < iterations; ++n) {
    for (uint32_t& sum : sums) sum = sum * a + b;
  }
  for (size_t i = 0; i < kPeakSinkFloats; ++i) sink[i] = static_cast<float>(sums[i]);
  return 2.0 * kPeakSinkFloats * static_cast<double>(iterations);
}

float PeakRead(const float* data, size_t size) {
  float sums[kPeakSinkFloats] = {};
  for (size_t at = 0; at + kPeakSinkFloats <= size; at += kPeakSinkFloats) {
    for (size_t i = 0; i < kPeakSinkFloats; ++i) sums[i] += data[at + i];
  }
  return std::accumulate(sums, sums + kPeakSinkFloats, 0.0f);
}

}  // namespace fastvlm::scalar
