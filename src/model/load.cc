#include "model/load.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/file.h"

namespace fastvlm {
namespace {

WeightType TypeOf(const Tensor& tensor) {
  switch (tensor.dtype) {
    case Dtype::kF32:
      return WeightType::kF32;
    case Dtype::kBf16:
      return WeightType::kBf16;
    case Dtype::kF16:
      return WeightType::kF16;
    case Dtype::kI64:
    case Dtype::kMlxAffine:
      break;
  }
  FASTVLM_CHECK(false);  // Checkpoint::Open accepts float weights only, IsQuantized is asked before
}

bool IsQuantized(const Tensor& tensor) { return tensor.affine.has_value(); }

const float* BiasOf(const std::vector<float>& bias) { return bias.empty() ? nullptr : bias.data(); }

void Release(const Tensor& tensor) {
  ReleaseMappedPages(tensor.data, static_cast<size_t>(tensor.bytes()));
}

PackedLinear PackRows(const Tensor& weight, int64_t rows, const float* bias, LinearFormat format,
                      ThreadPool& pool) {
  const int64_t k = weight.shape[1];
  PackedLinear packed;
  if (IsQuantized(weight)) {
    const auto read_row = [&](int64_t row, float* out) { weight.CopyToF32(row * k, k, out); };
    packed = PackedLinear::Pack(read_row, rows, k, bias, format, pool);
  } else {
    packed = PackedLinear::Pack(weight.data, TypeOf(weight), rows, k, bias, format, pool);
  }
  Release(weight);
  return packed;
}

// Row `row` of all the parts' rows in order.
void ReadJoinedRow(std::initializer_list<const LinearTensors*> parts, int64_t row, float* out) {
  for (const LinearTensors* part : parts) {
    const Tensor& weight = part->weight;
    const int64_t k = weight.shape[1];
    if (row < weight.shape[0]) return weight.CopyToF32(row * k, k, out);
    row -= weight.shape[0];
  }
  FASTVLM_CHECK(false);
}

}  // namespace

Buffer<float> ToBuffer(const std::vector<float>& values) {
  Buffer<float> buffer(values.size());
  std::copy(values.begin(), values.end(), buffer.data());
  return buffer;
}

PackedLinear LoadLinear(const LinearTensors& tensors, LinearFormat format, ThreadPool& pool) {
  return PackRows(tensors.weight, tensors.weight.shape[0], BiasOf(tensors.bias), format, pool);
}

PackedLinear LoadRows(const Tensor& weight, int64_t rows, LinearFormat format, ThreadPool& pool) {
  FASTVLM_CHECK(rows <= weight.shape[0]);
  return PackRows(weight, rows, nullptr, format, pool);
}

PackedLinear LoadJoined(std::initializer_list<const LinearTensors*> parts, LinearFormat format,
                        ThreadPool& pool) {
  const Tensor& first = (*parts.begin())->weight;
  const int64_t k = first.shape[1];
  int64_t n = 0;
  bool same_floats = true;
  std::vector<float> bias;
  for (const LinearTensors* part : parts) {
    FASTVLM_CHECK(part->weight.shape[1] == k);
    n += part->weight.shape[0];
    same_floats = same_floats && part->weight.dtype == first.dtype && !IsQuantized(part->weight);
    bias.insert(bias.end(), part->bias.begin(), part->bias.end());
  }
  if (same_floats) {
    Buffer<uint8_t> joined(static_cast<size_t>(n * k * DtypeBytes(first.dtype)));
    uint8_t* out = joined.data();
    for (const LinearTensors* part : parts) {
      std::memcpy(out, part->weight.data, static_cast<size_t>(part->weight.bytes()));
      out += part->weight.bytes();
      Release(part->weight);
    }
    return PackedLinear::Pack(joined.data(), TypeOf(first), n, k, BiasOf(bias), format, pool);
  }
  const auto read_row = [&](int64_t row, float* out) { ReadJoinedRow(parts, row, out); };
  PackedLinear packed = PackedLinear::Pack(read_row, n, k, BiasOf(bias), format, pool);
  for (const LinearTensors* part : parts) Release(part->weight);
  return packed;
}

DepthwiseWeights LoadDepthwise(const DepthwiseTensors& tensors, int stride) {
  DepthwiseWeights weights;
  weights.kernel = tensors.kernel;
  weights.stride = stride;
  weights.in_channels = tensors.in;
  weights.out_channels = tensors.out;
  weights.weight = ToBuffer(tensors.weight);
  weights.bias = ToBuffer(tensors.bias);
  return weights;
}

}  // namespace fastvlm
