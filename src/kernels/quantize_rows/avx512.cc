#include "simd/vec_avx512.h"

#include <cstring>

#include "kernels/quantize_rows/args.h"

namespace fastvlm::avx512 {
namespace {

constexpr int64_t kBlock = 32;
constexpr int kBatch = 4;

// Up to four blocks at work, with places at equal distances: their maxima and sums are reduced
// together, each in a lane of its own.
template <typename Q>
struct Batch {
  const float* x;
  int64_t x_step;
  Q* q;
  int64_t q_step;
  float* scale;
  int32_t* start;
  int64_t step;  // of scale and start
};

struct Greatest {
  FASTVLM_INLINE __m512i Of(__m512i a, __m512i b) { return _mm512_max_epi32(a, b); }
};
struct Total {
  FASTVLM_INLINE __m512i Of(__m512i a, __m512i b) { return _mm512_add_epi32(a, b); }
};

// Lane u of the result: all lanes of v[u], joined.
template <typename Join>
FASTVLM_INLINE __m128i Reduce(const __m512i (&v)[kBatch]) {
  const __m512i low =
      Join::Of(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i high =
      Join::Of(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  __m512i all = Join::Of(_mm512_unpacklo_epi64(low, high), _mm512_unpackhi_epi64(low, high));
  all = Join::Of(all, _mm512_shuffle_i32x4(all, all, 0x4e));
  all = Join::Of(all, _mm512_shuffle_i32x4(all, all, 0xb1));
  return _mm512_castsi512_si128(all);
}

// Sums of four neighbours.
FASTVLM_INLINE __m512i SumFours(__m512i bytes) {
  return _mm512_madd_epi16(_mm512_maddubs_epi16(_mm512_set1_epi8(1), bytes), _mm512_set1_epi16(1));
}

// bytes[i]: the values of blocks 2 i and 2 i + 1 of a batch. Lane u of the result: the sum of
// block u.
FASTVLM_INLINE __m128i SumBytes(const __m512i (&bytes)[2]) {
  const __m512i four[2] = {SumFours(bytes[0]), SumFours(bytes[1])};
  __m512i sum = _mm512_add_epi32(_mm512_unpacklo_epi32(four[0], four[1]),
                                 _mm512_unpackhi_epi32(four[0], four[1]));
  sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, _MM_PERM_BADC));
  sum = _mm512_add_epi32(sum, _mm512_shuffle_i32x4(sum, sum, 0xb1));
  return _mm_unpacklo_epi32(_mm512_castsi512_si128(sum), _mm512_extracti32x4_epi32(sum, 2));
}

FASTVLM_INLINE void StoreBytes(int8_t* q, __m256i bytes) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(q), bytes);
}
FASTVLM_INLINE void StoreBytes(int16_t* q, __m256i bytes) {
  _mm512_storeu_si512(q, _mm512_cvtepi8_epi16(bytes));
}

// The scales, from the bits of the greatest magnitudes.
FASTVLM_INLINE __m128 ScaleOf(__m128i bits) {
  return _mm_div_ps(_mm_castsi128_ps(bits), _mm_set1_ps(127.0f));
}
// |x| times this rounds to 127 at most: it is within a rounding of 127 / max |x|, or less.
FASTVLM_INLINE __m128 InverseOf(__m128i bits) {
  return _mm_min_ps(_mm_div_ps(_mm_set1_ps(127.0f), _mm_castsi128_ps(bits)),
                    _mm_set1_ps(3.402823466e38f));
}
// Of four vectors of integers that two calls of _mm512_packs_epi32 packed to words, in order.
FASTVLM_INLINE __m512i PackBytes(__m512i first, __m512i second) {
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, _mm512_packs_epi16(first, second));
}
// Lanes whose greatest magnitude is finite. A block that has inf or NaN is stored as zeros: its
// scale tells of them.
FASTVLM_INLINE __mmask8 IsFinite(__m128i bits) {
  return _mm_cmplt_epi32_mask(bits, _mm_set1_epi32(0x7f800000));
}

// Quantizes the first `count` blocks of a batch, of `valid` values each; zeros fill a block up.
template <bool kWhole, typename Q>
FASTVLM_INLINE void QuantizeBatch(const Batch<Q>& batch, int count, int64_t valid, int32_t factor) {
  const auto load = [&](int u, int half) {
    const float* x = batch.x + u * batch.x_step + half * 16;
    return kWhole ? _mm512_loadu_ps(x)
                  : _mm512_maskz_loadu_ps(MaskOf(valid > half * 16 ? valid - half * 16 : 0), x);
  };
  // As integers, magnitudes are in the order of their values, and NaN is above infinity.
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most[kBatch];
#pragma GCC unroll 4
  for (int u = 0; u < kBatch; ++u) {
    most[u] = _mm512_setzero_si512();
    if (u >= count) continue;
    most[u] = _mm512_max_epi32(_mm512_and_si512(_mm512_castps_si512(load(u, 0)), magnitude),
                               _mm512_and_si512(_mm512_castps_si512(load(u, 1)), magnitude));
  }
  const __m128i bits = Reduce<Greatest>(most);
  const __m128 scale = ScaleOf(bits);
  alignas(16) float inverse[kBatch];
  _mm_store_ps(inverse, InverseOf(bits));
  __m512i bytes[2];
#pragma GCC unroll 2
  for (int pair = 0; pair < 2; ++pair) {
    __m512i words[2] = {};
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      const int u = 2 * pair + i;
      if (u >= count) continue;
      const __m512 times = _mm512_set1_ps(inverse[u]);
      words[i] = _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(load(u, 0), times)),
                                    _mm512_cvtps_epi32(_mm512_mul_ps(load(u, 1), times)));
    }
    bytes[pair] = PackBytes(words[0], words[1]);
    Q* q = batch.q + 2 * pair * batch.q_step;
    if (2 * pair < count) StoreBytes(q, _mm512_castsi512_si256(bytes[pair]));
    if (2 * pair + 1 < count) {
      StoreBytes(q + batch.q_step, _mm512_extracti64x4_epi64(bytes[pair], 1));
    }
  }
  const __mmask8 finite = IsFinite(bits);
  const __m128i start = _mm_maskz_mullo_epi32(finite, SumBytes(bytes), _mm_set1_epi32(factor));
  if (finite != 0xf) {
    for (int u = 0; u < count; ++u) {
      if ((finite >> u & 1) == 0) {
        std::memset(batch.q + u * batch.q_step, 0, kBlock * sizeof(Q));
      }
    }
  }
  if (batch.step == 1) {
    const auto first = static_cast<__mmask8>((1u << count) - 1);
    _mm_mask_storeu_ps(batch.scale, first, scale);
    _mm_mask_storeu_epi32(batch.start, first, start);
    return;
  }
  alignas(16) float scales[kBatch];
  alignas(16) int32_t starts[kBatch];
  _mm_store_ps(scales, scale);
  _mm_store_si128(reinterpret_cast<__m128i*>(starts), start);
  for (int u = 0; u < count; ++u) {
    batch.scale[u * batch.step] = scales[u];
    batch.start[u * batch.step] = starts[u];
  }
}

// Blocks [b, b + 1) of `rows` rows of a tile, kBatch rows at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeColumn(const QuantizeRowsArgs& args, const float* x, int64_t rows,
                                   int64_t valid, uint8_t* block) {
  Q* q = reinterpret_cast<Q*>(block);
  float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
  int32_t* start = reinterpret_cast<int32_t*>(scale + args.tile_rows);
  for (int64_t row = 0; row < rows; row += kBatch) {
    const Batch<Q> batch = {x + row * args.x_stride,
                            args.x_stride,
                            q + row * kBlock,
                            kBlock,
                            scale + row,
                            start + row,
                            1};
    const int count = static_cast<int>(rows - row < kBatch ? rows - row : kBatch);
    if (valid >= kBlock) {
      QuantizeBatch<true>(batch, count, kBlock, args.start_factor);
    } else {
      QuantizeBatch<false>(batch, count, valid, args.start_factor);
    }
  }
}

// The whole blocks of one row, kBatch at a time.
template <typename Q>
FASTVLM_INLINE void QuantizeRow(const QuantizeRowsArgs& args, const float* x, int64_t row,
                                uint8_t* block) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  const int64_t blocks = args.depth / kBlock;
  for (int64_t b = 0; b < blocks; b += kBatch) {
    Q* q = reinterpret_cast<Q*>(block + b * block_bytes);
    float* scale = reinterpret_cast<float*>(q + args.tile_rows * kBlock);
    const Batch<Q> batch = {
        x + b * kBlock,   kBlock,
        q + row * kBlock, block_bytes / static_cast<int64_t>(sizeof(Q)),
        scale + row,      reinterpret_cast<int32_t*>(scale + args.tile_rows) + row,
        block_bytes / 4};
    const int count = static_cast<int>(blocks - b < kBatch ? blocks - b : kBatch);
    QuantizeBatch<true>(batch, count, kBlock, args.start_factor);
  }
}

template <typename Q>
FASTVLM_INLINE void Quantize(const QuantizeRowsArgs& args) {
  const int64_t block_bytes = QuantizedBlockBytes(args.tile_rows, sizeof(Q));
  for (int64_t first = 0; first < args.rows; first += args.tile_rows) {
    const int64_t rows = args.rows - first < args.tile_rows ? args.rows - first : args.tile_rows;
    const float* x = args.x + first * args.x_stride;
    uint8_t* tile = args.tiles + first / args.tile_rows * args.tile_stride;
    // One row fills the lanes with its own blocks.
    const bool by_row = rows == 1;
    int64_t p = 0;
    if (by_row) {
      for (int64_t row = 0; row < rows; ++row) {
        QuantizeRow<Q>(args, x + row * args.x_stride, row, tile);
      }
      p = args.depth / kBlock * kBlock;
    }
    for (; p < args.depth; p += kBlock) {
      QuantizeColumn<Q>(args, x + p, rows, args.depth - p, tile + p / kBlock * block_bytes);
    }
  }
}

// Blocks 2 p and 2 p + 1 of up to kBatch rows from row `row` of a tile on; x: their first values.
FASTVLM_INLINE void QuantizePair(const QuantizeRowsArgs& args, const float* x, int64_t row,
                                 int count, uint8_t* block) {
  const auto load = [&](int u, int v) { return _mm512_loadu_ps(x + u * args.x_stride + v * 16); };
  const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
  __m512i most[kBatch] = {};
#pragma GCC unroll 4
  for (int u = 0; u < kBatch; ++u) {
    if (u >= count) continue;
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const __m512i bits = _mm512_and_si512(_mm512_castps_si512(load(u, v)), magnitude);
      most[u] = _mm512_max_epi32(most[u], bits);
    }
  }
  const __m128i bits = Reduce<Greatest>(most);
  const __mmask8 finite = IsFinite(bits);
  alignas(16) float inverse[kBatch];
  _mm_store_ps(inverse, InverseOf(bits));
  uint8_t* second = block + QuantizedBlockBytes(args.tile_rows, 1);
  __m512i sums[kBatch] = {};
#pragma GCC unroll 4
  for (int u = 0; u < kBatch; ++u) {
    if (u >= count) continue;
    const __m512 times = _mm512_set1_ps(inverse[u]);
    __m512i words[2];
#pragma GCC unroll 2
    for (int h = 0; h < 2; ++h) {
      words[h] = _mm512_packs_epi32(_mm512_cvtps_epi32(_mm512_mul_ps(load(u, 2 * h), times)),
                                    _mm512_cvtps_epi32(_mm512_mul_ps(load(u, 2 * h + 1), times)));
    }
    __m512i bytes = PackBytes(words[0], words[1]);
    if ((finite >> u & 1) == 0) bytes = _mm512_setzero_si512();
    const int64_t at = (row + u) * kBlock;
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(block + at), _mm512_castsi512_si256(bytes));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(second + at),
                        _mm512_extracti64x4_epi64(bytes, 1));
    sums[u] = SumFours(bytes);
  }
  const __m128 scale = ScaleOf(bits);
  const __m128i start = _mm_mullo_epi32(Reduce<Total>(sums), _mm_set1_epi32(args.start_factor));
  const auto rows = static_cast<__mmask8>((1u << count) - 1);
  const int64_t scales = args.tile_rows * kBlock + row * 4;
  const int64_t starts = scales + args.tile_rows * 4;
  _mm_mask_storeu_ps(block + scales, rows, scale);
  _mm_mask_storeu_ps(second + scales, rows, scale);
  _mm_mask_storeu_epi32(block + starts, rows, start);
  _mm_mask_storeu_epi32(second + starts, rows, _mm_setzero_si128());
}

}  // namespace

void QuantizePairsToInt8(const QuantizeRowsArgs& args) {
  const int64_t pair_bytes = 2 * QuantizedBlockBytes(args.tile_rows, 1);
  for (int64_t i = 0; i < args.rows; i += args.tile_rows) {
    const int64_t rows = args.rows - i < args.tile_rows ? args.rows - i : args.tile_rows;
    uint8_t* pair = args.tiles + i / args.tile_rows * args.tile_stride;
    for (int64_t p = 0; p < args.depth; p += 2 * kBlock, pair += pair_bytes) {
      for (int64_t row = 0; row < rows; row += kBatch) {
        const int count = static_cast<int>(rows - row < kBatch ? rows - row : kBatch);
        QuantizePair(args, args.x + (i + row) * args.x_stride + p, row, count, pair);
      }
    }
  }
}

void QuantizeToInt8(const QuantizeRowsArgs& args) { Quantize<int8_t>(args); }
void QuantizeToInt16(const QuantizeRowsArgs& args) { Quantize<int16_t>(args); }

}  // namespace fastvlm::avx512
