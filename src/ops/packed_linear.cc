#include "ops/packed_linear.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/float16.h"
#include "kernels/gemm_bf16/pack.h"
#include "kernels/gemm_f16/pack.h"
#include "kernels/gemm_f32/pack.h"
#include "kernels/gemm_q4/gemm_q4.h"
#include "kernels/gemm_q4/pack.h"
#include "kernels/gemm_q8/gemm_q8.h"
#include "kernels/gemm_q8/pack.h"
#include "kernels/quantize_rows/quantize_rows.h"

namespace fastvlm {
namespace {

int64_t RoundUp(int64_t a, int64_t b) { return (a + b - 1) / b * b; }

// Row `row` of weight, [n, k] at any byte address, as f32.
void ReadRow(const void* weight, WeightType type, int64_t row, int64_t k, float* out) {
  const auto* bytes = static_cast<const uint8_t*>(weight);
  if (type == WeightType::kF32) {
    std::memcpy(out, bytes + row * k * int64_t{sizeof(float)},
                static_cast<size_t>(k) * sizeof(float));
    return;
  }
  bytes += row * k * int64_t{sizeof(uint16_t)};
  for (int64_t p = 0; p < k; ++p) {
    uint16_t half;
    std::memcpy(&half, bytes + p * int64_t{sizeof(half)}, sizeof(half));
    out[p] = type == WeightType::kBf16 ? F32FromBf16(half) : F32FromF16(half);
  }
}

bool RoundsToBf16(LinearFormat format) {
  return format == LinearFormat::kBf16 || format == LinearFormat::kBf16Weights;
}

}  // namespace

PackedLinear::PackedLinear(int64_t n, int64_t k, const float* bias, LinearFormat format)
    : n_(n), k_(k), format_(format) {
  FASTVLM_CHECK(n >= 1 && k >= 1);
  switch (format) {
    case LinearFormat::kBf16:
      pairs_variant_ = GemmBf16ForLinear();
      f16_variant_ = GemmF16ForLinear();
      if (pairs_variant_ == nullptr && f16_variant_ == nullptr) variant_ = &BestGemmF32();
      break;
    case LinearFormat::kExact:
    case LinearFormat::kBf16Weights:
      variant_ = &BestGemmF32();
      break;
    case LinearFormat::kQ8:
    case LinearFormat::kQ8Pairs:
      quantized_variant_ = &BestGemmQ8();
      shares_scales_ = format == LinearFormat::kQ8Pairs && k % (2 * kQuantBlock) == 0 &&
                       quantized_variant_->pairs_fn != nullptr &&
                       BestQuantizeRows().pairs_to_int8 != nullptr;
      break;
    case LinearFormat::kQ4:
      quantized_variant_ = &BestGemmQ4();
      break;
  }
  const int64_t padded = RoundUp(n, tile_n());
  bias_ = Buffer<float>(static_cast<size_t>(padded));
  std::fill_n(bias_.data(), padded, 0.0f);
  if (bias != nullptr) std::copy_n(bias, n, bias_.data());
}

PackedLinear PackedLinear::Pack(const void* weight, WeightType type, int64_t n, int64_t k,
                                const float* bias, LinearFormat format, ThreadPool& pool) {
  PackedLinear packed(n, k, bias, format);
  const auto read_row = [&](int64_t row, float* out) { ReadRow(weight, type, row, k, out); };
  if (packed.is_quantized()) {
    packed.PackQuantized(read_row, pool);
  } else if (packed.has_f16_products()) {
    packed.PackPanelsF16(read_row, pool);
  } else if (packed.has_bf16_products()) {
    packed.PackPairs(weight, type, pool);
  } else {
    packed.PackFloats(weight, type, pool);
  }
  return packed;
}

PackedLinear PackedLinear::Pack(const ReadRowFn& read_row, int64_t n, int64_t k, const float* bias,
                                LinearFormat format, ThreadPool& pool) {
  PackedLinear packed(n, k, bias, format);
  if (packed.is_quantized()) {
    packed.PackQuantized(read_row, pool);
  } else if (packed.has_f16_products()) {
    packed.PackPanelsF16(read_row, pool);
  } else if (packed.has_bf16_products()) {
    packed.PackPairs(read_row, pool);
  } else {
    packed.PackFloats(read_row, pool);
  }
  return packed;
}

PackedLinear PackedLinear::PackBlocks(const FindRowFn& find_row, int64_t n, int64_t k,
                                      const float* bias, LinearFormat format, ThreadPool& pool) {
  PackedLinear packed(n, k, bias, format);
  FASTVLM_CHECK(packed.is_quantized());
  packed.PackStored(find_row, pool);
  return packed;
}

void PackedLinear::PackFloats(const void* weight, WeightType type, ThreadPool& pool) {
  const int64_t tile_n = variant_->tile_n;
  const int64_t padded = RoundUp(n_, tile_n);
  const size_t size = static_cast<size_t>(padded * k_);
  const bool to_bf16 = type == WeightType::kBf16 || RoundsToBf16(format_);
  if (to_bf16) {
    bf16_ = Buffer<uint16_t>(size);
  } else {
    f32_ = Buffer<float>(size);
  }
  pool.ParallelFor(padded / tile_n, [&](int64_t panel, int) {
    const int64_t column = panel * tile_n;
    const int64_t at = At(column, 0);
    switch (type) {
      case WeightType::kF32:
        return to_bf16 ? PackPanelF32ToBf16(weight, n_, k_, column, tile_n, bf16_.data() + at)
                       : PackPanelF32(weight, n_, k_, column, tile_n, f32_.data() + at);
      case WeightType::kF16:
        return to_bf16 ? PackPanelF16ToBf16(weight, n_, k_, column, tile_n, bf16_.data() + at)
                       : PackPanelF16ToF32(weight, n_, k_, column, tile_n, f32_.data() + at);
      case WeightType::kBf16:
        return PackPanelBf16(weight, n_, k_, column, tile_n, bf16_.data() + at);
    }
  });
}

void PackedLinear::PackFloats(const ReadRowFn& read_row, ThreadPool& pool) {
  const int64_t tile_n = variant_->tile_n;
  const int64_t padded = RoundUp(n_, tile_n);
  const bool to_bf16 = RoundsToBf16(format_);
  if (to_bf16) {
    bf16_ = Buffer<uint16_t>(static_cast<size_t>(padded * k_));
  } else {
    f32_ = Buffer<float>(static_cast<size_t>(padded * k_));
  }
  pool.ParallelFor(padded / tile_n, [&](int64_t panel, int) {
    const int64_t column = panel * tile_n;
    const int64_t count = std::min(tile_n, n_ - column);
    std::vector<float> rows(static_cast<size_t>(count * k_));
    for (int64_t j = 0; j < count; ++j) read_row(column + j, rows.data() + j * k_);
    if (to_bf16) {
      PackPanelF32ToBf16(rows.data(), count, k_, 0, tile_n, bf16_.data() + At(column, 0));
    } else {
      PackPanelF32(rows.data(), count, k_, 0, tile_n, f32_.data() + At(column, 0));
    }
  });
}

void PackedLinear::PackPairs(const void* weight, WeightType type, ThreadPool& pool) {
  const auto pack = type == WeightType::kF32   ? PackPairsF32
                    : type == WeightType::kF16 ? PackPairsF16
                                               : PackPairsBf16;
  const int64_t panels = RoundUp(n_, tile_n()) / tile_n();
  bf16_ = Buffer<uint16_t>(static_cast<size_t>(panels * pairs_panel_stride()));
  pool.ParallelFor(panels, [&](int64_t panel, int) {
    pack(weight, n_, k_, panel * tile_n(), tile_n(), bf16_.data() + panel * pairs_panel_stride());
  });
}

void PackedLinear::PackPairs(const ReadRowFn& read_row, ThreadPool& pool) {
  const int64_t panels = RoundUp(n_, tile_n()) / tile_n();
  bf16_ = Buffer<uint16_t>(static_cast<size_t>(panels * pairs_panel_stride()));
  pool.ParallelFor(panels, [&](int64_t panel, int) {
    const int64_t column = panel * tile_n();
    const int64_t count = std::min(tile_n(), n_ - column);
    std::vector<float> rows(static_cast<size_t>(count * k_));
    for (int64_t j = 0; j < count; ++j) read_row(column + j, rows.data() + j * k_);
    PackPairsF32(rows.data(), count, k_, 0, tile_n(), bf16_.data() + panel * pairs_panel_stride());
  });
}

void PackedLinear::PackPanelsF16(const ReadRowFn& read_row, ThreadPool& pool) {
  const int64_t panels = RoundUp(n_, tile_n()) / tile_n();
  f16_ = Buffer<uint16_t>(static_cast<size_t>(panels * f16_panel_stride()));
  f16_factors_ = Buffer<float>(static_cast<size_t>(panels * tile_n()));
  // One for each thread: the system clears memory slower than a panel is packed.
  std::vector<Buffer<float>> rows(static_cast<size_t>(pool.threads()));
  pool.ParallelFor(panels, [&](int64_t panel, int thread) {
    Buffer<float>& wide = rows[static_cast<size_t>(thread)];
    if (wide.empty()) wide = Buffer<float>(static_cast<size_t>(tile_n() * k_));
    const int64_t column = panel * tile_n();
    const int64_t count = std::min(tile_n(), n_ - column);
    for (int64_t j = 0; j < count; ++j) read_row(column + j, wide.data() + j * k_);
    PackF16(wide.data(), count, k_, tile_n(), f16_.data() + panel * f16_panel_stride(),
            f16_factors_.data() + column);
  });
}

void PackedLinear::PackQuantized(const ReadRowFn& read_row, ThreadPool& pool) {
  const int64_t tile_n = quantized().tile_n;
  const int64_t panels = RoundUp(n_, tile_n) / tile_n;
  bytes_ = Buffer<uint8_t>(static_cast<size_t>(panels * panel_bytes()));
  pool.ParallelFor(panels, [&](int64_t index, int) {
    uint8_t* panel = bytes_.data() + index * panel_bytes();
    std::memset(panel, 0, static_cast<size_t>(panel_bytes()));
    std::vector<float> row(static_cast<size_t>(k_));
    for (int64_t j = 0; j < std::min(tile_n, n_ - index * tile_n); ++j) {
      read_row(index * tile_n + j, row.data());
      if (IsQ8(format_)) {
        PackColumnQ8(row.data(), k_, j, quantized(), panel);
      } else {
        PackColumnQ4(row.data(), k_, j, quantized(), panel);
      }
    }
    FinishPanel(index);
  });
}

void PackedLinear::PackStored(const FindRowFn& find_row, ThreadPool& pool) {
  const int64_t tile_n = quantized().tile_n;
  const int64_t panels = RoundUp(n_, tile_n) / tile_n;
  const bool q8 = IsQ8(format_);
  const int64_t block_bytes = q8 ? kQ8BlockBytes : kQ4BlockBytes;
  const auto pack = q8 ? PackColumnQ8Blocks : PackColumnQ4Blocks;
  bytes_ = Buffer<uint8_t>(static_cast<size_t>(panels * panel_bytes()));
  pool.ParallelFor(panels, [&](int64_t index, int) {
    uint8_t* panel = bytes_.data() + index * panel_bytes();
    std::memset(panel, 0, static_cast<size_t>(panel_bytes()));
    const int64_t first = index * tile_n;
    // Pieces of the depth small enough that the panel's part stays in the L1 cache while each row
    // is scattered over it.
    constexpr int64_t kPiece = 8;
    for (int64_t block = 0; block < blocks(); block += kPiece) {
      const int64_t count = std::min(kPiece, blocks() - block);
      for (int64_t j = 0; j < std::min(tile_n, n_ - first); ++j) {
        pack(find_row(first + j) + block * block_bytes, count, j, quantized(),
             panel + block * quantized().block_bytes);
      }
    }
    FinishPanel(index);
  });
}

void PackedLinear::FinishPanel(int64_t index) {
  if (!shares_scales_) return;
  const int64_t count = std::min(quantized().tile_n, n_ - index * quantized().tile_n);
  ShareScalesOfPairs(blocks(), count, quantized(), bytes_.data() + index * panel_bytes());
}

size_t PackedLinear::bytes() const {
  return (f32_.size() + bias_.size() + f16_factors_.size()) * sizeof(float) +
         (bf16_.size() + f16_.size()) * sizeof(uint16_t) + bytes_.size();
}

}  // namespace fastvlm
