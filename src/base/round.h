// Division of whole numbers that rounds up: how many blocks, panels or tiles of a size cover an
// extent.
#ifndef FASTVLM_BASE_ROUND_H_
#define FASTVLM_BASE_ROUND_H_

#include <cstdint>

namespace fastvlm {

// The smallest q with q * b >= a. a >= 0, b > 0.
constexpr int64_t CeilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The smallest multiple of b that is at least a. a >= 0, b > 0.
constexpr int64_t RoundUp(int64_t a, int64_t b) { return CeilDiv(a, b) * b; }

}  // namespace fastvlm

#endif  // FASTVLM_BASE_ROUND_H_
