#include "ops/packed_linear.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/float16.h"
#include "ops/kernel_choices.h"
#include "ops/linear_weights.h"

namespace fastvlm {
namespace {

std::unique_ptr<const LinearWeights> MakeWeights(const WeightSource& source, LinearFormat format,
                                                 ThreadPool& pool) {
  FASTVLM_CHECK(source.n() >= 1 && source.k() >= 1);
  switch (format) {
    case LinearFormat::kExact:
      return MakeLinearF32(source, false, pool);
    case LinearFormat::kBf16Weights:
      return MakeLinearF32(source, true, pool);
    case LinearFormat::kBf16:
      switch (ChooseBf16Products()) {
        case LinearProducts::kBf16:
          return MakeLinearBf16(source, pool);
        case LinearProducts::kF16:
          return MakeLinearF16(source, pool);
        default:
          return MakeLinearF32(source, true, pool);
      }
    case LinearFormat::kQ8:
    case LinearFormat::kQ8Pairs:
    case LinearFormat::kQ4:
      return MakeLinearQuantized(source, format, ChooseQuantizedKernels(format), pool);
  }
  FASTVLM_CHECK(false);
}

}  // namespace

const void* WeightSource::Rows(int64_t first, int64_t count, std::vector<float>& space) const {
  if (read_row_ == nullptr) {
    const size_t bytes = type_ == WeightType::kF32 ? sizeof(float) : sizeof(uint16_t);
    return weight_ + static_cast<size_t>(first * k_) * bytes;
  }
  space.resize(static_cast<size_t>(count * k_));
  for (int64_t j = 0; j < count; ++j) (*read_row_)(first + j, space.data() + j * k_);
  return space.data();
}

void WeightSource::ReadRow(int64_t row, float* out) const {
  if (read_row_ != nullptr) return (*read_row_)(row, out);
  if (type_ == WeightType::kF32) {
    std::memcpy(out, weight_ + row * k_ * int64_t{sizeof(float)},
                static_cast<size_t>(k_) * sizeof(float));
    return;
  }
  const uint8_t* from = weight_ + row * k_ * int64_t{sizeof(uint16_t)};
  for (int64_t p = 0; p < k_; ++p) {
    uint16_t half;
    std::memcpy(&half, from + p * int64_t{sizeof(half)}, sizeof(half));
    out[p] = type_ == WeightType::kBf16 ? F32FromBf16(half) : F32FromF16(half);
  }
}

PackedLinear::PackedLinear() = default;
PackedLinear::PackedLinear(PackedLinear&& other) noexcept = default;
PackedLinear& PackedLinear::operator=(PackedLinear&& other) noexcept = default;
PackedLinear::~PackedLinear() = default;

PackedLinear::PackedLinear(std::unique_ptr<const LinearWeights> weights, const float* bias)
    : weights_(std::move(weights)) {
  const int64_t padded = RoundUp(n(), weights_->traits().tile_n);
  bias_ = Buffer<float>(static_cast<size_t>(padded));
  std::fill_n(bias_.data(), padded, 0.0f);
  if (bias != nullptr) std::copy_n(bias, n(), bias_.data());
}

PackedLinear PackedLinear::Pack(const void* weight, WeightType type, int64_t n, int64_t k,
                                const float* bias, LinearFormat format, ThreadPool& pool) {
  return {MakeWeights(WeightSource(weight, type, n, k), format, pool), bias};
}

PackedLinear PackedLinear::Pack(const ReadRowFn& read_row, int64_t n, int64_t k, const float* bias,
                                LinearFormat format, ThreadPool& pool) {
  return {MakeWeights(WeightSource(read_row, n, k), format, pool), bias};
}

PackedLinear PackedLinear::PackBlocks(const FindRowFn& find_row, int64_t n, int64_t k,
                                      const float* bias, LinearFormat format, ThreadPool& pool) {
  FASTVLM_CHECK(n >= 1 && k >= 1);
  return {MakeLinearQuantized(find_row, n, k, format, ChooseQuantizedKernels(format), pool), bias};
}

int64_t PackedLinear::n() const { return weights_->traits().n; }
int64_t PackedLinear::k() const { return weights_->traits().k; }
int64_t PackedLinear::tile_m() const { return weights_->traits().tile_m; }
LinearProducts PackedLinear::products() const { return weights_->traits().products; }
bool PackedLinear::is_bf16() const { return weights_->traits().is_bf16; }
bool PackedLinear::shares_scales() const { return weights_->traits().shares_scales; }

size_t PackedLinear::bytes() const {
  return weights_ == nullptr ? 0 : weights_->bytes() + bias_.size() * sizeof(float);
}

}  // namespace fastvlm
