// The published layouts: how the tensors of a file are named, and our own names for them.
//
// Our names, each with ".weight" or ".bias" where marked @ and a number where marked #:
//   vision.stem.#.@                          0: 3x3, 1: depthwise 3x3, 2: pointwise
//   vision.stages.#.downsample.{conv,pointwise}.@
//   vision.stages.#.position.@               RepCPE
//   vision.stages.#.blocks.#.mixer.@, .layer_scale                                  RepMixer only
//   vision.stages.#.blocks.#.{norm,projection}.@, .qkv.weight, .layer_scale_{1,2}   attention only
//   vision.stages.#.blocks.#.ffn.{fc1,fc2}.@, .conv.weight
//   vision.stages.#.blocks.#.ffn.bn.@, .running_mean, .running_var
//   vision.{expand,squeeze,excite}.@
//   projector.{first,second}.@
//   decoder.{embedding,head,final_norm}
//   decoder.layers.#.{input_norm,post_attention_norm}, .{q,k,v}.@, .{o,gate,up,down}.weight
#ifndef FASTVLM_CHECKPOINT_LAYOUT_H_
#define FASTVLM_CHECKPOINT_LAYOUT_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "checkpoint/tensor_files.h"

namespace fastvlm {

// One name in a file and ours. '#' stands for a number without leading zeros and at most four
// digits, '@' for "weight" or "bias"; both patterns have the same ones in the same order. An empty
// `ours` means the tensor is known and not used.
struct NameRule {
  std::string in_file;
  std::string ours;
};

struct Layout {
  std::string name;
  std::vector<NameRule> rules;
};

// If `name` matches `pattern`, `replacement` filled with what '#' and '@' stood for, as far as it
// has them.
std::optional<std::string> Rewrite(std::string_view name, std::string_view pattern,
                                   std::string_view replacement);

// The layout of the files, found from the tensor names. kUnsupported for layouts that are known but
// cannot be read and for encoders in their training form, kDataError for anything else.
Result<Layout> FindLayout(const TensorFiles& files);

// apple/FastVLM-*, model_type llava_qwen2. Stages and their parts are found from the `network`
// indices in the names, so that any FastViTHD depth works.
bool IsAppleLayout(const TensorFiles& files);
Result<Layout> AppleLayout(const TensorFiles& files);

// transformers' fast_vlm, whose encoder is timm's fastvit_mci3.
bool IsFastVlmLayout(const TensorFiles& files);
Layout FastVlmLayout();

// The rules for Qwen2's own names, which every layout keeps under some prefix.
void AppendDecoderRules(const std::string& prefix, std::vector<NameRule>* rules);

bool HasNameWithPrefix(const TensorFiles& files, std::string_view prefix);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_LAYOUT_H_
