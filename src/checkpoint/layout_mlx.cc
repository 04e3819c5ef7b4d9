#include <cstring>
#include <string>

#include "base/printable.h"
#include "base/status.h"
#include "checkpoint/layout.h"

namespace fastvlm {
namespace {

constexpr char kMlxVision[] = "vision_tower.vision_model.";
constexpr char kStem[] = "patch_embed.blocks.";

constexpr char kExportProjector[] = "multi_modal_projector.linear_";
constexpr char kDecoder[] = "language_model.model.";
constexpr char kHead[] = "language_model.";

bool IsFloat(const StoredTensor& stored) {
  return stored.readable && stored.tensor.dtype != Dtype::kI64;
}

// `prefix`.scales and the like, which must be [rows, groups] of one float type.
Result<const StoredTensor*> FindGroups(const TensorFiles& files, const Tensor& weight,
                                       const std::string& name) {
  const auto found = files.tensors.find(name);
  if (found == files.tensors.end()) {
    return Error(StatusCode::kUnsupported,
                 "{}: tensor {} is quantized, but there is no {}: only MLX's affine mode, with "
                 "scales and biases, can be read",
                 weight.file, Printable(weight.name), Printable(name));
  }
  const StoredTensor& groups = found->second;
  const std::vector<int64_t>& shape = groups.tensor.shape;
  if (!IsFloat(groups) || shape.size() != 2 || shape[0] != weight.shape[0] || shape[1] < 1) {
    return Error(StatusCode::kDataError, "{}: tensor {}: expected [{}, groups] floats, found {} {}",
                 groups.tensor.file, Printable(name), weight.shape[0], Printable(groups.dtype),
                 ShapeText(shape));
  }
  return &groups;
}

// Joins a quantized matrix with its scales and biases.
Status JoinAffine(TensorFiles* files, const std::string& name) {
  StoredTensor& stored = files->tensors.at(name);
  Tensor& weight = stored.tensor;
  if (weight.shape.size() != 2 || weight.shape[0] < 1 || weight.shape[1] < 1) {
    return Error(StatusCode::kDataError, "{}: tensor {}: expected a matrix of words, found {}",
                 weight.file, Printable(name), ShapeText(weight.shape));
  }
  const std::string prefix = name.substr(0, name.rfind('.') + 1);
  FASTVLM_ASSIGN_OR_RETURN(const StoredTensor* scales,
                           FindGroups(*files, weight, prefix + "scales"));
  FASTVLM_ASSIGN_OR_RETURN(const StoredTensor* biases,
                           FindGroups(*files, weight, prefix + "biases"));
  if (scales->tensor.dtype != biases->tensor.dtype ||
      scales->tensor.shape != biases->tensor.shape) {
    return Error(StatusCode::kDataError, "{}: tensor {}: {} scales {}, but {} biases {}",
                 weight.file, Printable(name), scales->dtype, ShapeText(scales->tensor.shape),
                 biases->dtype, ShapeText(biases->tensor.shape));
  }
  weight.dtype = Dtype::kMlxAffine;
  weight.affine = MlxAffine{.bits = 0,
                            .group = 0,
                            .dtype = scales->tensor.dtype,
                            .scales = scales->tensor.data,
                            .biases = biases->tensor.data};
  stored.readable = true;
  stored.mlx_groups = scales->tensor.shape[1];
  files->tensors.erase(prefix + "scales");
  files->tensors.erase(prefix + "biases");
  return {};
}

Status JoinQuantized(TensorFiles* files) {
  std::vector<std::string> quantized;
  for (const auto& [name, stored] : files->tensors) {
    if (stored.dtype == "U32" && name.ends_with(".weight")) quantized.push_back(name);
  }
  for (const std::string& name : quantized) FASTVLM_RETURN_IF_ERROR(JoinAffine(files, name));
  return {};
}

// Whether convolutions are [out, height, width, in]. The stem's depthwise one tells, as it has a
// single input channel: the rule of mlx-vlm's own loader.
bool ChannelsComeLast(const TensorFiles& files) {
  const auto stem = files.tensors.find(fmt::format("{}{}1.reparam_conv.weight", kMlxVision, kStem));
  if (stem == files.tensors.end()) return true;
  const std::vector<int64_t>& shape = stem->second.tensor.shape;
  return shape.size() != 4 || shape[3] == 1;
}

// [out, height, width, in] -> [out, in, height, width]
void MoveChannels(StoredTensor* stored, std::vector<std::vector<uint8_t>>* copies) {
  Tensor& tensor = stored->tensor;
  const int64_t out = tensor.shape[0], taps = tensor.shape[1] * tensor.shape[2];
  const int64_t in = tensor.shape[3];
  tensor.shape = {out, in, tensor.shape[1], tensor.shape[2]};
  if (in == 1 || taps == 1) return;  // the same order
  const int64_t size = DtypeBytes(tensor.dtype);
  std::vector<uint8_t>& copy = copies->emplace_back(static_cast<size_t>(tensor.bytes()));
  for (int64_t i = 0; i < out * in * taps; ++i) {
    const int64_t o = i / (in * taps), channel = i / taps % in, tap = i % taps;
    std::memcpy(copy.data() + i * size, tensor.data + ((o * taps + tap) * in + channel) * size,
                static_cast<size_t>(size));
  }
  tensor.data = copy.data();
}

}  // namespace

bool IsMlxLayout(const TensorFiles& files) { return HasNameWithPrefix(files, kMlxVision); }

Result<Layout> MlxLayout(const TensorFiles& files) {
  Layout layout{.name = "mlx", .rules = {}, .mlx = true};
  std::vector<NameRule>& rules = layout.rules;
  FASTVLM_RETURN_IF_ERROR(AppendAppleVisionRules(files, kMlxVision, kStem, &rules));
  rules.push_back({"mm_projector.0.@", "projector.first.@"});
  rules.push_back({"mm_projector.2.@", "projector.second.@"});
  AppendDecoderRules(kDecoder, kHead, &rules);
  return layout;
}

bool IsMlxExportLayout(const TensorFiles& files) {
  // Other LLaVA models begin at linear_1.
  return HasNameWithPrefix(files, std::string(kExportProjector) + "0.") &&
         HasNameWithPrefix(files, kDecoder);
}

Layout MlxExportLayout() {
  Layout layout{.name = "mlx_export", .rules = {}, .mlx = true, .has_vision = false};
  const std::string projector = kExportProjector;
  layout.rules.push_back({projector + "0.@", "projector.first.@"});
  layout.rules.push_back({projector + "2.@", "projector.second.@"});
  AppendDecoderRules(kDecoder, kHead, &layout.rules);
  return layout;
}

Status PrepareMlxTensors(TensorFiles* files) {
  FASTVLM_RETURN_IF_ERROR(JoinQuantized(files));
  const bool channels_last = ChannelsComeLast(*files);
  for (auto it = files->tensors.lower_bound(kMlxVision);
       it != files->tensors.end() && it->first.starts_with(kMlxVision); ++it) {
    StoredTensor& stored = it->second;
    std::vector<int64_t>& shape = stored.tensor.shape;
    if (!IsFloat(stored)) continue;  // reported when it is taken
    if (shape.size() == 4 && channels_last) MoveChannels(&stored, &files->copies);
    const bool is_layer_scale = it->first.find(".layer_scale") != std::string::npos;
    if (is_layer_scale && shape.size() == 3 && shape[0] == 1 && shape[1] == 1) {
      shape = {shape[2], 1, 1};
    }
  }
  return {};
}

}  // namespace fastvlm
