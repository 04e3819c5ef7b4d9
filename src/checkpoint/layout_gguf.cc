#include <array>

#include "checkpoint/layout.h"

namespace fastvlm {

// Source: the tensor names of the architecture "qwen2" in llama.cpp's gguf-py (constants.py).
// llama.cpp rotates halves of a head as Qwen2 does, so q and k are not permuted.
Layout GgufDecoderLayout() {
  Layout layout{.name = "gguf", .rules = {}};
  std::vector<NameRule>& rules = layout.rules;
  rules.push_back({"token_embd.weight", "decoder.embedding"});
  rules.push_back({"output_norm.weight", "decoder.final_norm"});
  rules.push_back({"output.weight", "decoder.head"});
  const std::string theirs = "blk.#.";
  const std::string ours = "decoder.layers.#.";
  rules.push_back({theirs + "attn_norm.weight", ours + "input_norm"});
  rules.push_back({theirs + "ffn_norm.weight", ours + "post_attention_norm"});
  for (const char* name : {"q", "k", "v"}) {
    rules.push_back({theirs + "attn_" + name + ".@", ours + name + ".@"});
  }
  rules.push_back({theirs + "attn_output.weight", ours + "o.weight"});
  for (const char* name : {"gate", "up", "down"}) {
    rules.push_back({theirs + "ffn_" + name + ".weight", ours + name + ".weight"});
  }
  return layout;
}

Layout GgufVisionLayout() {
  Layout layout{.name = "gguf", .rules = {}};
  constexpr std::array<const char*, 19> kNames = {
      "vision.stem.#.@",
      "vision.stages.#.downsample.conv.@",
      "vision.stages.#.downsample.pointwise.@",
      "vision.stages.#.position.@",
      "vision.stages.#.blocks.#.mixer.@",
      "vision.stages.#.blocks.#.layer_scale",
      "vision.stages.#.blocks.#.norm.@",
      "vision.stages.#.blocks.#.qkv.weight",
      "vision.stages.#.blocks.#.projection.@",
      "vision.stages.#.blocks.#.layer_scale_1",
      "vision.stages.#.blocks.#.layer_scale_2",
      "vision.stages.#.blocks.#.ffn.conv.@",
      "vision.stages.#.blocks.#.ffn.fc1.@",
      "vision.stages.#.blocks.#.ffn.fc2.@",
      "vision.expand.@",
      "vision.squeeze.@",
      "vision.excite.@",
      "projector.first.@",
      "projector.second.@",
  };
  for (const char* name : kNames) layout.rules.push_back({name, name});
  return layout;
}

}  // namespace fastvlm
