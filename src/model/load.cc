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
    default:
      FASTVLM_CHECK(false);  // IsQuantized is asked before; Checkpoint::Open accepts nothing else
  }
}

bool IsQuantized(const Tensor& tensor) {
  return tensor.affine.has_value() || IsBlockDtype(tensor.dtype);
}

const float* BiasOf(const std::vector<float>& bias) { return bias.empty() ? nullptr : bias.data(); }

void Release(const Tensor& tensor) {
  ReleaseMappedPages(tensor.data, static_cast<size_t>(tensor.bytes()));
}

// The rows of several tensors in order, all of the same length.
struct Rows {
  std::vector<const Tensor*> parts;
  int64_t n = 0;  // of all, or fewer
  int64_t k = 0;

  bool AllAre(Dtype dtype) const {
    return std::all_of(parts.begin(), parts.end(),
                       [dtype](const Tensor* part) { return part->dtype == dtype; });
  }
  // The tensor that row `row` of all belongs to. `row` becomes its number within that tensor.
  const Tensor& Find(int64_t& row) const {
    size_t i = 0;
    while (row >= parts[i]->shape[0]) row -= parts[i++]->shape[0];
    return *parts[i];
  }
  void Read(int64_t row, float* out) const { Find(row).CopyToF32(row * k, k, out); }
  const uint8_t* Blocks(int64_t row) const {
    const Tensor& part = Find(row);
    return part.data + row * part.row_bytes();
  }
};

// What a file's weights become where the user asked for no format: blocks that kernels multiply
// stay as they are, and blocks of other kinds become those of 8 bits.
LinearFormat StoredFormat(const Rows& rows) {
  if (rows.AllAre(Dtype::kQ40)) return LinearFormat::kQ4;
  const bool blocks = std::all_of(rows.parts.begin(), rows.parts.end(),
                                  [](const Tensor* part) { return IsBlockDtype(part->dtype); });
  return blocks ? LinearFormat::kQ8 : LinearFormat::kExact;
}

PackedLinear PackJoinedFloats(const Rows& rows, const float* bias, LinearFormat format,
                              ThreadPool& pool) {
  Buffer<uint8_t> joined(static_cast<size_t>(rows.n * rows.parts.front()->row_bytes()));
  uint8_t* out = joined.data();
  for (const Tensor* part : rows.parts) {
    std::memcpy(out, part->data, static_cast<size_t>(part->bytes()));
    out += part->bytes();
    Release(*part);
  }
  return PackedLinear::Pack(joined.data(), TypeOf(*rows.parts.front()), rows.n, rows.k, bias,
                            format, pool);
}

PackedLinear PackRows(const Rows& rows, const float* bias, std::optional<LinearFormat> wanted,
                      ThreadPool& pool) {
  const LinearFormat format = wanted.value_or(StoredFormat(rows));
  const Tensor& first = *rows.parts.front();
  const bool same_floats = rows.AllAre(first.dtype) && !IsQuantized(first);
  if (same_floats && rows.parts.size() > 1) return PackJoinedFloats(rows, bias, format, pool);
  PackedLinear packed;
  if (same_floats) {
    packed = PackedLinear::Pack(first.data, TypeOf(first), rows.n, rows.k, bias, format, pool);
  } else if ((IsQ8(format) && rows.AllAre(Dtype::kQ80)) ||
             (format == LinearFormat::kQ4 && rows.AllAre(Dtype::kQ40))) {
    packed = PackedLinear::PackBlocks([&](int64_t row) { return rows.Blocks(row); }, rows.n, rows.k,
                                      bias, format, pool);
  } else {
    packed = PackedLinear::Pack([&](int64_t row, float* out) { rows.Read(row, out); }, rows.n,
                                rows.k, bias, format, pool);
  }
  for (const Tensor* part : rows.parts) Release(*part);
  return packed;
}

}  // namespace

Buffer<float> ToBuffer(const std::vector<float>& values) {
  Buffer<float> buffer(values.size());
  std::copy(values.begin(), values.end(), buffer.data());
  return buffer;
}

PackedLinear LoadLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                        ThreadPool& pool) {
  const Tensor& weight = tensors.weight;
  return PackRows({{&weight}, weight.shape[0], weight.shape[1]}, BiasOf(tensors.bias), format,
                  pool);
}

PackedLinear LoadFfnLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                           ThreadPool& pool) {
  const Tensor& weight = tensors.weight;
  const Rows rows = {{&weight}, weight.shape[0], weight.shape[1]};
  const LinearFormat wanted = format.value_or(StoredFormat(rows));
  return PackRows(rows, BiasOf(tensors.bias),
                  wanted == LinearFormat::kQ8 ? LinearFormat::kQ8Pairs : wanted, pool);
}

PackedLinear LoadRows(const Tensor& weight, int64_t rows, std::optional<LinearFormat> format,
                      ThreadPool& pool) {
  FASTVLM_CHECK(rows <= weight.shape[0]);
  return PackRows({{&weight}, rows, weight.shape[1]}, nullptr, format, pool);
}

PackedLinear LoadJoined(std::initializer_list<const LinearTensors*> parts,
                        std::optional<LinearFormat> format, ThreadPool& pool) {
  Rows rows;
  rows.k = (*parts.begin())->weight.shape[1];
  std::vector<float> bias;
  for (const LinearTensors* part : parts) {
    FASTVLM_CHECK(part->weight.shape[1] == rows.k);
    rows.n += part->weight.shape[0];
    rows.parts.push_back(&part->weight);
    bias.insert(bias.end(), part->bias.begin(), part->bias.end());
  }
  return PackRows(rows, BiasOf(bias), format, pool);
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
