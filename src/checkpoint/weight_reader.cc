#include "checkpoint/weight_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/printable.h"
#include "checkpoint/mlx_affine.h"

namespace fastvlm {
namespace {

constexpr int64_t kMaxSize = int64_t{1} << 24;
constexpr size_t kMaxListed = 5;  // tensor names in one message

// Our name for a tensor of the file. It is empty if the tensor is not used, and nothing if no rule
// fits.
std::optional<std::string> OurName(const Layout& layout, const std::string& in_file) {
  for (const NameRule& rule : layout.rules) {
    if (auto ours = Rewrite(in_file, rule.in_file, rule.ours)) return ours;
  }
  return std::nullopt;
}

// "A, B, C and 4 more"
std::string ListText(const std::vector<const Tensor*>& tensors) {
  std::string text;
  for (size_t i = 0; i < std::min(tensors.size(), kMaxListed); ++i) {
    text += fmt::format("{}{}", i == 0 ? "" : ", ", Printable(tensors[i]->name));
  }
  if (tensors.size() > kMaxListed) text += fmt::format(" and {} more", tensors.size() - kMaxListed);
  return text;
}

// The shape that a tensor has in the file, where rows of block types are filled up to whole blocks.
std::vector<int64_t> FilledUp(std::vector<int64_t> shape, Dtype dtype) {
  const int64_t block = BlockValues(dtype);
  if (shape.size() >= 2) shape[1] = (shape[1] + block - 1) / block * block;
  return shape;
}

// [out, kernel * kernel] -> [kernel * kernel, out]
std::vector<float> TransposeTaps(const std::vector<float>& weight, int64_t taps, int64_t out) {
  std::vector<float> result(weight.size());
  for (int64_t o = 0; o < out; ++o) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      result[static_cast<size_t>(tap * out + o)] = weight[static_cast<size_t>(o * taps + tap)];
    }
  }
  return result;
}

}  // namespace

WeightReader::WeightReader(const TensorFiles& files, Layout layout)
    : files_(files), layout_(std::move(layout)) {
  for (const auto& [in_file, stored] : files.tensors) {
    const std::optional<std::string> ours = OurName(layout_, in_file);
    if (!ours) {
      (IsPassedOver(in_file) ? passed_over_ : unknown_).push_back(&stored.tensor);
    } else if (!ours->empty()) {
      tensors_.emplace(*ours, Entry{.stored = &stored});
    }
  }
}

int64_t WeightReader::CountChildren(const std::string& prefix) const {
  int64_t count = 0;
  for (auto it = tensors_.lower_bound(prefix);
       it != tensors_.end() && it->first.starts_with(prefix); ++it) {
    int64_t index = -1;
    const char* digits = it->first.data() + prefix.size();
    std::from_chars(digits, it->first.data() + it->first.size(), index);
    count = std::max(count, index + 1);
  }
  return count;
}

std::string WeightReader::NameInFile(const std::string& name) const {
  for (const NameRule& rule : layout_.rules) {
    if (auto in_file = Rewrite(name, rule.ours, rule.in_file)) return *in_file;
  }
  return name;
}

Status WeightReader::BadTensor(const std::string& name, std::string_view problem) const {
  const Tensor& tensor = tensors_.at(name).stored->tensor;
  return Error(StatusCode::kDataError, "{}: tensor {}: {}", tensor.file, tensor.name, problem);
}

Result<const StoredTensor*> WeightReader::Find(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found != tensors_.end()) return found->second.stored;
  const std::string hint =
      unknown_.empty() ? "" : fmt::format(" (unknown here: {})", ListText(unknown_));
  return Error(StatusCode::kDataError, "{}: tensor {} is missing{}", files_.path, NameInFile(name),
               hint);
}

Result<int64_t> WeightReader::Size(const std::string& name, size_t rank, size_t axis) const {
  FASTVLM_ASSIGN_OR_RETURN(const StoredTensor* stored, Find(name));
  const std::vector<int64_t>& shape = stored->tensor.shape;
  if (shape.size() != rank || shape[axis] < 1 || shape[axis] > kMaxSize) {
    return BadTensor(name, fmt::format("expected {} sizes from 1 to {}, found {}", rank, kMaxSize,
                                       ShapeText(shape)));
  }
  return shape[axis];
}

Result<Tensor> WeightReader::Unpacked(const std::string& name, const StoredTensor& stored,
                                      const std::vector<int64_t>& shape) const {
  Tensor tensor = stored.tensor;
  if (shape.size() != 2 || tensor.shape[0] != shape[0] ||
      !FindMlxPacking(shape[1], tensor.shape[1], stored.mlx_groups, &*tensor.affine)) {
    return BadTensor(
        name, fmt::format("expected the values {} in 2, 3, 4, 5, 6 or 8 bits and groups of 32, 64 "
                          "or 128, found the words {} with {} scales for each row",
                          ShapeText(shape), ShapeText(tensor.shape), stored.mlx_groups));
  }
  tensor.shape = shape;
  return tensor;
}

Result<Tensor> WeightReader::TakeUncounted(const std::string& name,
                                           const std::vector<int64_t>& shape) {
  FASTVLM_ASSIGN_OR_RETURN(const StoredTensor* stored, Find(name));
  Tensor tensor = stored->tensor;
  if (stored->readable && tensor.dtype == Dtype::kMlxAffine) {
    FASTVLM_ASSIGN_OR_RETURN(tensor, Unpacked(name, *stored, shape));
  } else if (tensor.shape == FilledUp(shape, tensor.dtype)) {
    tensor.shape = shape;
  }
  if (tensor.shape != shape) {
    return BadTensor(name, fmt::format("expected shape {}, found {}", ShapeText(shape),
                                       ShapeText(tensor.shape)));
  }
  if (!stored->readable || tensor.dtype == Dtype::kI64) {
    return BadTensor(name,
                     fmt::format("expected F32, F16 or BF16, found {}", Printable(stored->dtype)));
  }
  tensors_.at(name).taken = true;
  return tensor;
}

Result<Tensor> WeightReader::Take(const std::string& name, const std::vector<int64_t>& shape) {
  FASTVLM_ASSIGN_OR_RETURN(Tensor tensor, TakeUncounted(name, shape));
  parameters_ += tensor.elements();
  return tensor;
}

Result<std::vector<float>> WeightReader::TakeValues(const std::string& name,
                                                    const std::vector<int64_t>& shape) {
  FASTVLM_ASSIGN_OR_RETURN(const Tensor tensor, Take(name, shape));
  std::vector<float> values = tensor.ToF32();
  const auto bad = std::find_if_not(values.begin(), values.end(),
                                    [](float value) { return std::isfinite(value); });
  if (bad != values.end()) {
    return BadTensor(name, fmt::format("expected finite values, found {} at element {}: corrupt",
                                       *bad, bad - values.begin()));
  }
  return values;
}

Result<std::vector<float>> WeightReader::TakeStatistic(const std::string& name, int64_t size) {
  FASTVLM_ASSIGN_OR_RETURN(std::vector<float> values, TakeValues(name, {size}));
  parameters_ -= size;
  return values;
}

Result<LinearTensors> WeightReader::TakeLinearWithoutBias(const std::string& prefix, int64_t out,
                                                          int64_t in) {
  LinearTensors linear;
  FASTVLM_ASSIGN_OR_RETURN(linear.weight, Take(prefix + ".weight", {out, in}));
  return linear;
}

Result<LinearTensors> WeightReader::TakeLinear(const std::string& prefix, int64_t out, int64_t in) {
  LinearTensors linear;
  FASTVLM_ASSIGN_OR_RETURN(linear.weight, Take(prefix + ".weight", {out, in}));
  FASTVLM_ASSIGN_OR_RETURN(linear.bias, TakeValues(prefix + ".bias", {out}));
  return linear;
}

Result<LinearTensors> WeightReader::TakePointwise(const std::string& prefix, int64_t out,
                                                  int64_t in) {
  LinearTensors linear;
  FASTVLM_ASSIGN_OR_RETURN(linear.weight, Take(prefix + ".weight", {out, in, 1, 1}));
  FASTVLM_ASSIGN_OR_RETURN(linear.bias, TakeValues(prefix + ".bias", {out}));
  return linear;
}

Result<DepthwiseTensors> WeightReader::TakeDepthwiseWithoutBias(const std::string& prefix,
                                                                int kernel, int64_t in,
                                                                int64_t out) {
  DepthwiseTensors conv{.kernel = kernel, .in = in, .out = out, .weight = {}, .bias = {}};
  FASTVLM_ASSIGN_OR_RETURN(const std::vector<float> weight,
                           TakeValues(prefix + ".weight", {out, 1, kernel, kernel}));
  conv.weight = TransposeTaps(weight, int64_t{kernel} * kernel, out);
  return conv;
}

Result<DepthwiseTensors> WeightReader::TakeDepthwise(const std::string& prefix, int kernel,
                                                     int64_t in, int64_t out) {
  FASTVLM_ASSIGN_OR_RETURN(DepthwiseTensors conv,
                           TakeDepthwiseWithoutBias(prefix, kernel, in, out));
  FASTVLM_ASSIGN_OR_RETURN(conv.bias, TakeValues(prefix + ".bias", {out}));
  return conv;
}

Status WeightReader::CheckAllTaken(std::vector<std::string>* warnings) const {
  if (!passed_over_.empty()) {
    warnings->push_back(fmt::format("{}: tensors that the model does not use are passed over: {}",
                                    files_.path, ListText(passed_over_)));
  }
  std::vector<const Tensor*> left = unknown_;
  for (const auto& [name, entry] : tensors_) {
    if (!entry.taken) left.push_back(&entry.stored->tensor);
  }
  if (left.empty()) return {};
  return Error(StatusCode::kDataError,
               "{}: {} unexpected tensors, not part of the model that config.json and the other "
               "tensors describe: {}",
               left.front()->file, left.size(), ListText(left));
}

}  // namespace fastvlm
