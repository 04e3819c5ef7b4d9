#include "checkpoint/tensor.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cstring>

#include "base/check.h"
#include "base/float16.h"
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
  }
  return "";
}

int64_t DtypeBytes(Dtype dtype) {
  switch (dtype) {
    case Dtype::kF32:
      return 4;
    case Dtype::kF16:
    case Dtype::kBf16:
      return 2;
    case Dtype::kI64:
      return 8;
    case Dtype::kMlxAffine:
      break;
  }
  FASTVLM_CHECK(false);
}

int64_t Tensor::elements() const {
  int64_t product = 1;
  for (const int64_t size : shape) product *= size;
  return product;
}

int64_t Tensor::bytes() const {
  return affine ? elements() / 8 * affine->bits : elements() * DtypeBytes(dtype);
}

std::string Tensor::TypeText() const {
  if (!affine) return std::string(DtypeName(dtype));
  return fmt::format("{}-bit MLX (groups of {})", affine->bits, affine->group);
}

void Tensor::CopyToF32(float* out) const { CopyToF32(0, elements(), out); }

void Tensor::CopyToF32(int64_t first, int64_t count, float* out) const {
  if (affine) return DequantizeMlx(data, *affine, first, count, out);
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
    case Dtype::kI64:
    case Dtype::kMlxAffine:
      FASTVLM_CHECK(false);
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
