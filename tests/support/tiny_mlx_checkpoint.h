// The tensors of tiny_checkpoint.h in the layouts of MLX, without any of the reader's code.
#ifndef FASTVLM_TESTS_SUPPORT_TINY_MLX_CHECKPOINT_H_
#define FASTVLM_TESTS_SUPPORT_TINY_MLX_CHECKPOINT_H_

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "support/tiny_checkpoint.h"

namespace fastvlm {

struct MlxForm {
  bool vision = true;         // false: Apple's exports, whose names differ too
  bool channels_last = true;  // of convolutions
  int bits = 0;               // of the matrices outside of the encoder; 0: not quantized
  int64_t group = 64;
  std::string scales = "F16";  // their dtype
};

// Sizes that groups of up to 64 divide.
inline TinyModel MlxTinyModel() {
  return {.hidden = 64, .heads = 4, .intermediate = 128, .stored_head = false};
}

// What `bits` can hold of a value in [-1, 1] with steps of 2 / 2^bits, in 8 bits every multiple of
// 1/64: so that a quantized checkpoint has the same values as one that is not.
inline float MlxStep(int bits) {
  return bits == 8 ? 1.0f / 64 : 2.0f / static_cast<float>(1 << bits);
}

inline bool IsMlxMatrix(const std::string& name, const TestTensor& tensor) {
  return tensor.shape.size() == 2 && name.ends_with(".weight") &&
         name.find("vision_tower") == std::string::npos;
}

// Apple's tensors, the matrices rounded to what `bits` can hold.
inline TestTensors RoundedAppleTensors(const TinyModel& model, int bits) {
  TestTensors tensors = AppleTensors(model);
  if (bits == 0) return tensors;
  const float step = MlxStep(bits);
  for (auto& [name, tensor] : tensors) {
    if (!IsMlxMatrix(name, tensor)) continue;
    for (float& v : tensor.values) v = std::min(std::round(v / step) * step, 1 - step);
  }
  return tensors;
}

// Adds `prefix`weight, scales and biases. Scales are positive and negative in turns.
inline void AddMlxMatrix(const std::string& prefix, const TestTensor& matrix, const MlxForm& form,
                         TestTensors* out) {
  const int64_t rows = matrix.shape[0], columns = matrix.shape[1];
  const float step = MlxStep(form.bits);
  TestTensor words{.dtype = "U32", .shape = {rows, columns * form.bits / 32}, .values = {}};
  words.words.resize(static_cast<size_t>(words.elements()));
  TestTensor scales{.dtype = form.scales, .shape = {rows, columns / form.group}, .values = {}};
  TestTensor biases = scales;
  for (int64_t i = 0; i < rows * columns; ++i) {
    const bool negative = i / form.group % 2 == 1;
    if (i % form.group == 0) {
      scales.values.push_back(negative ? -step : step);
      biases.values.push_back(negative ? 1 - step : -1);
    }
    const float v = matrix.values[static_cast<size_t>(i)];
    const float q = negative ? (1 - step - v) / step : (v + 1) / step;
    const int64_t bit = i * form.bits;
    const uint64_t shifted = static_cast<uint64_t>(q) << (bit % 32);
    words.words[static_cast<size_t>(bit / 32)] |= static_cast<uint32_t>(shifted);
    const auto carry = static_cast<uint32_t>(shifted >> 32);
    if (carry != 0) words.words[static_cast<size_t>(bit / 32 + 1)] |= carry;
  }
  (*out)[prefix + "weight"] = std::move(words);
  (*out)[prefix + "scales"] = std::move(scales);
  (*out)[prefix + "biases"] = std::move(biases);
}

inline std::string MlxName(std::string name, const MlxForm& form) {
  const auto replace = [&name](const std::string& from, const std::string& to) {
    const size_t at = name.find(from);
    if (at != std::string::npos) name.replace(at, from.size(), to);
    return at != std::string::npos;
  };
  if (replace("model.vision_tower.vision_tower.model.", "vision_tower.vision_model.")) {
    replace("patch_embed.", "patch_embed.blocks.");
    return name;
  }
  if (replace("model.mm_projector.",
              form.vision ? "mm_projector." : "multi_modal_projector.linear_"))
    return name;
  return "language_model." + name;
}

// [out, in, height, width] -> [out, height, width, in]; layer scales [c, 1, 1] -> [1, 1, c].
inline TestTensor ChannelsLast(const std::string& name, const TestTensor& tensor) {
  TestTensor result = tensor;
  const std::vector<int64_t>& shape = tensor.shape;
  if (name.find(".layer_scale") != std::string::npos) result.shape = {1, 1, shape[0]};
  if (shape.size() != 4) return result;
  result.shape = {shape[0], shape[2], shape[3], shape[1]};
  size_t next = 0;
  const int64_t taps = shape[2] * shape[3];
  for (int64_t o = 0; o < shape[0]; ++o) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t in = 0; in < shape[1]; ++in) {
        result.values[next++] =
            tensor.values[static_cast<size_t>((o * shape[1] + in) * taps + tap)];
      }
    }
  }
  return result;
}

// `apple` as MLX writes it.
inline TestTensors MlxTensors(const TestTensors& apple, const MlxForm& form) {
  TestTensors result;
  for (const auto& [name, tensor] : apple) {
    const std::string renamed = MlxName(name, form);
    const bool in_vision = renamed.starts_with("vision_tower.");
    if (name.ends_with("num_batches_tracked") || (in_vision && !form.vision)) continue;
    if (form.bits != 0 && IsMlxMatrix(name, tensor)) {
      AddMlxMatrix(renamed.substr(0, renamed.size() - 6), tensor, form, &result);
    } else {
      result[renamed] = in_vision && form.channels_last ? ChannelsLast(renamed, tensor) : tensor;
    }
  }
  return result;
}

inline std::string MlxConfig(const TinyModel& model, const MlxForm& form) {
  std::string config = AppleConfig(model).substr(1);
  if (form.bits != 0) {
    const std::string quantization =
        fmt::format(R"({{"group_size": {}, "bits": {}, "mode": "affine"}})", form.group, form.bits);
    config = fmt::format(R"("quantization": {0}, "quantization_config": {0}, {1})", quantization,
                         config);
  }
  return R"({"image_token_index": -200, "vision_config": {}, )" + config;
}

inline void WriteMlxCheckpoint(const TemporaryDirectory& directory, const TinyModel& model,
                               const MlxForm& form) {
  directory.Write("config.json", MlxConfig(model, form));
  directory.Write("model.safetensors",
                  EncodeSafetensors(MlxTensors(RoundedAppleTensors(model, form.bits), form)));
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_TINY_MLX_CHECKPOINT_H_
