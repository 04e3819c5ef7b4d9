// The published layouts: how the tensors of a file are named, and our own names for them.
//
// Our names, each with ".weight" or ".bias" where marked @ and a number where marked #:
//   vision.stem.#.@                          0: 3x3, 1: depthwise 3x3, 2: pointwise
//   vision.stages.#.downsample.{conv,pointwise}.@
//   vision.stages.#.position.@               RepCPE
//   vision.stages.#.blocks.#.mixer.@, .layer_scale                                  RepMixer only
//   vision.stages.#.blocks.#.{norm,projection}.@, .qkv.weight, .layer_scale_{1,2}   attention only
//   vision.stages.#.blocks.#.ffn.{fc1,fc2}.@, .conv.weight; .conv.bias in place of what follows
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
  bool mlx = false;        // tensors lie as MLX has them: PrepareMlxTensors comes first
  bool has_vision = true;  // false: the image encoder is not in these files
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

// The rules for Apple's names of the image encoder under the prefix `vision`; `stem` is the prefix
// of the stem's parts after it.
Status AppendAppleVisionRules(const TensorFiles& files, const std::string& vision,
                              const std::string& stem, std::vector<NameRule>* rules);

// transformers' fast_vlm, whose encoder is timm's fastvit_mci3.
bool IsFastVlmLayout(const TensorFiles& files);
Layout FastVlmLayout();

// "mlx": what mlx-vlm converts apple/FastVLM-* to. Convolutions are [out, height, width, in].
bool IsMlxLayout(const TensorFiles& files);
Result<Layout> MlxLayout(const TensorFiles& files);

// "mlx_export": Apple's own exports (apple/FastVLM-0.5B-fp16, -1.5B-int8, -7B-int4), which hold the
// projector and the language model only. The image encoder is a Core ML package beside them.
bool IsMlxExportLayout(const TensorFiles& files);
Layout MlxExportLayout();

// Gives the tensors of an MLX layout the form of the others: convolutions [out, in, height, width],
// layer scales [channels, 1, 1], and each quantized matrix joined with its scales and biases, which
// are no tensors of their own any more. kDataError for sizes that do not belong together,
// kUnsupported for quantizations other than the affine one.
Status PrepareMlxTensors(TensorFiles* files);
// Qwen2 as llama.cpp names it, and the image half as we do: our names.
Layout GgufDecoderLayout();
Layout GgufVisionLayout();

// The rules for Qwen2's own names, which every layout keeps under some prefix.
void AppendDecoderRules(const std::string& prefix, std::vector<NameRule>* rules);
// The same with `head` as the prefix of lm_head.
void AppendDecoderRules(const std::string& prefix, const std::string& head,
                        std::vector<NameRule>* rules);

// Whether transformers ignores a tensor of this name in any layout: rotary frequencies and
// attention masks that older versions stored, LLaVA's separator of image rows, and counters of
// BatchNorm. Such tensors may have any type and shape, and their data are never read.
bool IsPassedOver(std::string_view name);

bool HasNameWithPrefix(const TensorFiles& files, std::string_view prefix);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_LAYOUT_H_
