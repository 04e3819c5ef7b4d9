// All values of a checkpoint in one fixed order, to compare two of them.
#ifndef FASTVLM_TESTS_SUPPORT_FLATTEN_MODEL_H_
#define FASTVLM_TESTS_SUPPORT_FLATTEN_MODEL_H_

#include <utility>
#include <vector>

#include "checkpoint/weights.h"

namespace fastvlm {

class ModelFlattener {
 public:
  std::vector<float> Flatten(const ModelTensors& model) {
    const VisionTensors& vision = model.vision;
    Add(vision.stem_conv);
    Add(vision.stem_conv_bias);
    Add(vision.stem_depthwise);
    Add(vision.stem_pointwise);
    for (const StageTensors& stage : vision.stages) Add(stage);
    Add(vision.expand);
    Add(vision.squeeze);
    Add(vision.excite);
    Add(model.projector.first);
    Add(model.projector.second);
    Add(model.decoder.embedding);
    for (const DecoderLayerTensors& layer : model.decoder.layers) Add(layer);
    Add(model.decoder.final_norm);
    Add(model.decoder.head);
    return std::move(values_);
  }

 private:
  void Add(const std::vector<float>& values) {
    values_.push_back(static_cast<float>(values.size()));
    values_.insert(values_.end(), values.begin(), values.end());
  }
  void Add(const Tensor& tensor) { Add(tensor.ToF32()); }
  void Add(const LinearTensors& linear) {
    Add(linear.weight);
    Add(linear.bias);
  }
  void Add(const DepthwiseTensors& conv) {
    Add(std::vector<float>{static_cast<float>(conv.kernel), static_cast<float>(conv.in),
                           static_cast<float>(conv.out)});
    Add(conv.weight);
    Add(conv.bias);
  }
  void Add(const ConvFfnTensors& ffn) {
    Add(ffn.conv);
    Add(ffn.fc1);
    Add(ffn.fc2);
    Add(ffn.layer_scale);
  }
  void Add(const StageTensors& stage) {
    if (stage.downsample) {
      Add(stage.downsample->conv);
      Add(stage.downsample->pointwise);
    }
    if (stage.position) Add(*stage.position);
    for (const RepMixerTensors& block : stage.rep_mixer_blocks) {
      Add(block.mixer);
      Add(block.ffn);
    }
    for (const AttentionTensors& block : stage.attention_blocks) {
      Add(block.norm_gain);
      Add(block.norm_bias);
      Add(block.qkv);
      Add(block.projection);
      Add(block.layer_scale);
      Add(block.ffn);
    }
  }
  void Add(const DecoderLayerTensors& layer) {
    Add(layer.input_norm);
    for (const LinearTensors* linear :
         {&layer.q, &layer.k, &layer.v, &layer.o, &layer.gate, &layer.up, &layer.down}) {
      Add(*linear);
    }
    Add(layer.post_attention_norm);
  }

  std::vector<float> values_;
};

inline std::vector<float> FlattenModel(const ModelTensors& model) {
  return ModelFlattener().Flatten(model);
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_FLATTEN_MODEL_H_
