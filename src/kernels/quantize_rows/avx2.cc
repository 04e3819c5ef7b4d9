#include "simd/vec_avx2.h"

#include "kernels/quantize_rows/args.h"

namespace fastvlm::avx2 {

constexpr int64_t kBlock = 32;

FASTVLM_INLINE int32_t ReduceMaxInt(__m256i a) {
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  return _mm_cvtsi128_si32(half);
}

FASTVLM_INLINE int32_t ReduceAddInt(__m256i a) {
  __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  return _mm_cvtsi128_si32(half);
}

FASTVLM_INLINE void StoreQuantized(int16_t* q, __m256i low, __m256i high) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), low);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q + 16), high);
}
FASTVLM_INLINE void StoreQuantized(int8_t* q, __m256i low, __m256i high) {
  const __m256i packed = _mm256_permute4x64_epi64(_mm256_packs_epi16(low, high), 0xd8);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), packed);
}

// x: the four vectors of a block.
template <typename Q>
FASTVLM_INLINE void QuantizeBlock(const __m256* x, Q* q, float* scale, int32_t* sum) {
  // As integers, magnitudes are in the order of their values, and NaN is above infinity.
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i max = _mm256_and_si256(_mm256_castps_si256(x[0]), magnitude);
  for (int v = 1; v < 4; ++v) {
    max = _mm256_max_epi32(max, _mm256_and_si256(_mm256_castps_si256(x[v]), magnitude));
  }
  const int32_t bits = ReduceMaxInt(max);
  const bool finite = bits < 0x7f800000;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  *scale = value / 127.0f;
  if (bits == 0 || !finite) {
    StoreQuantized(q, _mm256_setzero_si256(), _mm256_setzero_si256());
    *sum = 0;
    return;
  }
  const float quotient = 127.0f / value;
  const __m256 inverse = _mm256_set1_ps(quotient < 3.402823466e38f ? quotient : 3.402823466e38f);
  __m256i rounded[4];
  for (int v = 0; v < 4; ++v) {
    // If the numbers are the smallest there are, the quotient may exceed 127 by a little. The pack
    // below saturates at 32767 only, so the limit is set here.
    const __m256 scaled = _mm256_min_ps(
        _mm256_max_ps(_mm256_mul_ps(x[v], inverse), _mm256_set1_ps(-127)), _mm256_set1_ps(127));
    rounded[v] = _mm256_cvtps_epi32(scaled);
  }
  const __m256i total = _mm256_add_epi32(_mm256_add_epi32(rounded[0], rounded[1]),
                                         _mm256_add_epi32(rounded[2], rounded[3]));
  *sum = ReduceAddInt(total);
  StoreQuantized(q, _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded[0], rounded[1]), 0xd8),
                 _mm256_permute4x64_epi64(_mm256_packs_epi32(rounded[2], rounded[3]), 0xd8));
}

template <typename Q>
FASTVLM_INLINE void Quantize(const QuantizeRowsArgs& args) {
  const int64_t blocks = (args.depth + kBlock - 1) / kBlock;
  const int64_t q_size = args.tile_rows * kBlock;
  for (int64_t i = 0; i < args.rows; ++i) {
    const float* x = args.x + i * args.x_stride;
    uint8_t* block = args.tiles + i / args.tile_rows * args.tile_stride;
    const int64_t row = i % args.tile_rows;
    int64_t left = args.depth;
    for (int64_t b = 0; b < blocks; ++b, left -= kBlock, x += kBlock) {
      __m256 values[4];
      for (int v = 0; v < 4; ++v) {
        const int64_t valid = left - v * 8;
        values[v] = valid >= 8  ? _mm256_loadu_ps(x + v * 8)
                    : valid > 0 ? LoadPartial(x + v * 8, valid).v
                                : _mm256_setzero_ps();
      }
      Q* q = reinterpret_cast<Q*>(block);
      float* scale = reinterpret_cast<float*>(q + q_size);
      int32_t* start = reinterpret_cast<int32_t*>(scale + args.tile_rows);
      QuantizeBlock(values, q + row * kBlock, scale + row, start + row);
      start[row] *= args.start_factor;
      block = reinterpret_cast<uint8_t*>(start + args.tile_rows);
    }
  }
}

void QuantizeToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t>(args); }
void QuantizeToInt16(const QuantizeRowsArgs& args) { Quantize<int16_t>(args); }

}  // namespace fastvlm::avx2
