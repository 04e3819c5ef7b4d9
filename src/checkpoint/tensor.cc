#include "checkpoint/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/float16.h"
#include "base/quant_block.h"
#include "checkpoint/gguf_blocks.h"
#include "checkpoint/mlx_affine.h"

namespace fastvlm {
namespace {

template <typename T>
T LoadUnaligned(const uint8_t* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

}  // namespace

std::string_view DtypeName(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return "F32";
    case Dtype::kF16:
      return "F16";
    case Dtype::kBf16:
      return "BF16";
    case Dtype::kI64:
      return "I64";
    case Dtype::kMlxAffine:
      return "MLX";
    case Dtype::kQ80:
      return "Q8_0";
    case Dtype::kQ40:
      return "Q4_0";
    case Dtype::kQ41:
      return "Q4_1";
    case Dtype::kQ50:
      return "Q5_0";
    case Dtype::kQ51:
      return "Q5_1";
    case Dtype::kQ4K:
      return "Q4_K";
    case Dtype::kQ5K:
      return "Q5_K";
    case Dtype::kQ6K:
      return "Q6_K";
  }
  return "";
}

bool IsBlockDtype(Dtype dtype) { return BlockValues(dtype) != 1; }

int64_t BlockValues(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
    case Dtype::kF16:
    case Dtype::kBf16:
    case Dtype::kI64:
    case Dtype::kMlxAffine:
      return 1;
    case Dtype::kQ80:
    case Dtype::kQ40:
    case Dtype::kQ41:
    case Dtype::kQ50:
    case Dtype::kQ51:
      return kQuantBlock;
    case Dtype::kQ4K:
    case Dtype::kQ5K:
    case Dtype::kQ6K:
      return kSuperBlock;
  }
  return 1;
}

int64_t BlockBytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return 4;
    case Dtype::kF16:
    case Dtype::kBf16:
      return 2;
    case Dtype::kI64:
      return 8;
    case Dtype::kQ80:
      return kQ8BlockBytes;
    case Dtype::kQ40:
      return kQ4BlockBytes;
    case Dtype::kQ41:
      return 20;
    case Dtype::kQ50:
      return 22;
    case Dtype::kQ51:
      return 24;
    case Dtype::kQ4K:
      return 144;
    case Dtype::kQ5K:
      return 176;
    case Dtype::kQ6K:
      return 210;
    case Dtype::kMlxAffine:
      break;
  }
  FASTVLM_CHECK(false);
}

int64_t DtypeBytes(Dtype dtype) {
  FASTVLM_CHECK(!IsBlockDtype(dtype));
  return BlockBytes(dtype);
}

int64_t Tensor::elements() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

int64_t Tensor::bytes() const {
  if (affine) return elements() / 8 * affine->bits;
  return (shape.size() < 2 ? 1 : shape[0]) * row_bytes();
}

int64_t Tensor::row_elements() const {
  return shape.size() < 2 ? elements() : elements() / std::max<int64_t>(shape[0], 1);
}

int64_t Tensor::row_bytes() const {
  const int64_t values = BlockValues(dtype);
  return (row_elements() + values - 1) / values * BlockBytes(dtype);
}

std::string Tensor::TypeText() const {
  if (!affine) return std::string(DtypeName(dtype));
  return fmt::format("{}-bit MLX (groups of {})", affine->bits, affine->group);
}

void Tensor::CopyToF32(float* out) const { CopyToF32(0, elements(), out); }

void Tensor::CopyToF32(int64_t first, int64_t count, float* out) const {
  if (affine) return DequantizeMlx(data, *affine, first, count, out);
  if (IsBlockDtype(dtype)) return CopyBlocksToF32(first, count, out);
  const uint8_t* in = data + first * DtypeBytes(dtype);
  switch (dtype) {
    case Dtype::kF32:
      if (count > 0) std::memcpy(out, in, static_cast<size_t>(count) * sizeof(float));
      break;
    case Dtype::kF16:
      for (int64_t i = 0; i < count; ++i) out[i] = F32FromF16(LoadUnaligned<uint16_t>(in + 2 * i));
      break;
    case Dtype::kBf16:
      for (int64_t i = 0; i < count; ++i) out[i] = F32FromBf16(LoadUnaligned<uint16_t>(in + 2 * i));
      break;
    default:
      FASTVLM_CHECK(false);
  }
}

void Tensor::CopyBlocksToF32(int64_t first, int64_t count, float* out) const {
  const int64_t width = row_elements();
  const int64_t values = BlockValues(dtype);
  float block[kSuperBlock];
  for (const int64_t end = first + count; first < end;) {
    const int64_t column = first % width;
    const int64_t skipped = column % values;
    const int64_t part = std::min({end - first, width - column, values - skipped});
    DecodeBlock(dtype, data + first / width * row_bytes() + column / values * BlockBytes(dtype),
                block);
    std::copy_n(block + skipped, part, out);
    first += part;
    out += part;
  }
}

std::vector<float> Tensor::ToF32() const {
  std::vector<float> values(static_cast<size_t>(elements()));
  CopyToF32(values.data());
  return values;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace fastvlm
