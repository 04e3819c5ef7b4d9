// The shape of a trained model: FastViTHD's family at any width and depth, a projector, Qwen2.
#ifndef FASTVLM_TRAIN_NN_CONFIG_H_
#define FASTVLM_TRAIN_NN_CONFIG_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"

namespace fastvlm::train {

// One stage of the encoder. All but the first begin by halving the resolution; its channels must
// be a multiple of those of the stage before.
struct StageShape {
  int64_t channels = 0;
  int64_t blocks = 0;
  int64_t ffn_ratio = 4;   // width of a ConvFFN's hidden layer, in channels
  bool attention = false;  // RepCPE and attention blocks instead of RepMixers
};

struct NetworkConfig {
  std::vector<StageShape> stages;
  bool multi_branch = false;  // MobileOne and RepMixer with their training branches
  float layer_scale = 0.5f;   // initial value
  int64_t image_size = 192;   // the square the exported model asks for, pixels

  int64_t hidden = 192;
  int64_t layers = 4;
  int64_t heads = 3;
  int64_t kv_heads = 1;
  int64_t intermediate = 512;
  double rope_theta = 1e4;
  double rms_norm_eps = 1e-6;
  int64_t vocabulary = 0;  // rows of the embedding: the tokenizer's, special tokens included
  int64_t concepts = 0;    // classes of the auxiliary head; it is not exported
  int64_t max_positions = 1024;

  int64_t head_dim() const { return hidden / heads; }
  int64_t stride() const { return int64_t{4} << (stages.size() - 1); }
  int64_t features() const { return 2 * stages.back().channels; }
};

// "16:1:2,48:1:3,192:3:3,384:2:3:a": channels, blocks, ffn ratio and an "a" for attention.
Result<std::vector<StageShape>> ParseStages(const std::string& text);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_NN_CONFIG_H_
