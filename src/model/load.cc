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
      break;
  }
  FASTVLM_CHECK(false);  // Checkpoint::Open accepts float weights only
}

const float* BiasOf(const std::vector<float>& bias) { return bias.empty() ? nullptr : bias.data(); }

void Release(const Tensor& tensor) {
  ReleaseMappedPages(tensor.data,
                     static_cast<size_t>(tensor.elements() * DtypeBytes(tensor.dtype)));
}

PackedLinear PackRows(const Tensor& weight, int64_t rows, const float* bias, LinearFormat format,
                      ThreadPool& pool) {
  PackedLinear packed =
      PackedLinear::Pack(weight.data, TypeOf(weight), rows, weight.shape[1], bias, format, pool);
  Release(weight);
  return packed;
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
  bool same_dtype = true;
  std::vector<float> bias;
  for (const LinearTensors* part : parts) {
    FASTVLM_CHECK(part->weight.shape[1] == k);
    n += part->weight.shape[0];
    same_dtype = same_dtype && part->weight.dtype == first.dtype;
    bias.insert(bias.end(), part->bias.begin(), part->bias.end());
  }
  const int64_t element = same_dtype ? DtypeBytes(first.dtype) : int64_t{sizeof(float)};
  Buffer<uint8_t> joined(static_cast<size_t>(n * k * element));
  uint8_t* out = joined.data();
  for (const LinearTensors* part : parts) {
    if (same_dtype) {
      std::memcpy(out, part->weight.data, static_cast<size_t>(part->weight.elements() * element));
    } else {
      part->weight.CopyToF32(reinterpret_cast<float*>(out));
    }
    out += part->weight.elements() * element;
    Release(part->weight);
  }
  return PackedLinear::Pack(joined.data(), same_dtype ? TypeOf(first) : WeightType::kF32, n, k,
                            BiasOf(bias), format, pool);
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
