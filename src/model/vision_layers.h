// The linear layers of the image half, and their names in mmproj.gguf without ".weight".
#ifndef FASTVLM_MODEL_VISION_LAYERS_H_
#define FASTVLM_MODEL_VISION_LAYERS_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace fastvlm {

// Calls visit(name, step, layer) for each linear layer of the encoder, in the order in which a pass
// computes them. The stem is step 0 of a pass, and stage i is step 1 + i. `stages` is a vector of
// StageTensors, or of what VisionEncoder makes of them.
template <typename Layer, typename Stages, typename Visit>
void VisitEncoderLayers(Layer& stem_pointwise, Stages& stages, const Visit& visit) {
  visit(std::string("vision.stem.2"), size_t{0}, stem_pointwise);
  size_t step = 0;
  for (auto& stage : stages) {
    const std::string prefix = "vision.stages." + std::to_string(step++);
    if (stage.downsample) {
      visit(prefix + ".downsample.pointwise", step, stage.downsample->pointwise);
    }
    int index = 0;
    const auto next_block = [&] { return prefix + ".blocks." + std::to_string(index++); };
    const auto visit_ffn = [&](const std::string& block, auto& ffn) {
      visit(block + ".ffn.fc1", step, ffn.fc1);
      visit(block + ".ffn.fc2", step, ffn.fc2);
    };
    for (auto& block : stage.rep_mixer_blocks) visit_ffn(next_block(), block.ffn);
    for (auto& block : stage.attention_blocks) {
      const std::string name = next_block();
      visit(name + ".qkv", step, block.qkv);
      visit(name + ".projection", step, block.projection);
      visit_ffn(name, block.ffn);
    }
  }
}

// True for the layers, by these names, that LoadFfnLinear (model/load.h) loads.
inline bool IsFfnLayer(std::string_view name) {
  return name.ends_with(".ffn.fc1") || name.ends_with(".ffn.fc2");
}

// The same for the projector. `step` is the one after the last step of the encoder.
template <typename Layer, typename Visit>
void VisitProjectorLayers(Layer& first, Layer& second, size_t step, const Visit& visit) {
  visit(std::string("projector.first"), step, first);
  visit(std::string("projector.second"), step, second);
}

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_VISION_LAYERS_H_
