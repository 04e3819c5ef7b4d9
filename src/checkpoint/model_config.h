// What a checkpoint says about its model: from config.json and, where that is silent, from the
// names and shapes of the tensors.
#ifndef FASTVLM_CHECKPOINT_MODEL_CONFIG_H_
#define FASTVLM_CHECKPOINT_MODEL_CONFIG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/tensor.h"
#include "fastvlm/calibration.h"

namespace fastvlm {

// tokenizer_model_max_length of every published FastVLM; Qwen2's own files say up to 131072.
inline constexpr int64_t kTrainedContext = 8192;
// A longer side than this, in pixels, is not believed of a configuration.
inline constexpr int64_t kMaxImageSize = 16384;

enum class Mixer { kRepMixer, kAttention };

struct StageConfig {
  int64_t channels = 0;
  int64_t blocks = 0;
  int64_t ffn_channels = 0;  // width of the hidden layer of each ConvFFN
  Mixer mixer = Mixer::kRepMixer;
  bool position_encoding = false;  // a RepCPE before the blocks
};

// FastViTHD. The first stage follows the stem directly, each other one a downsampling by 2.
struct VisionConfig {
  std::vector<StageConfig> stages;
  int64_t feature_channels = 0;  // after conv_exp
  int64_t se_channels = 0;       // squeezed width of conv_exp's squeeze-excite
  int64_t head_dim = 32;         // of every attention block; fixed in MHSA of mci.py
  int64_t image_size = 1024;     // side of the square the weights were trained for, pixels

  // Pixels per visual token and side: 4 of the stem times 2 for each later stage.
  int64_t stride() const { return int64_t{4} << (stages.size() - 1); }
};

// Qwen2.
struct DecoderConfig {
  int64_t hidden = 0;
  int64_t layers = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t head_dim = 0;
  int64_t intermediate = 0;
  int64_t vocab_rows = 0;  // rows stored; those beyond the tokenizer are never produced
  double rope_theta = 0;
  float rms_norm_eps = 0;
  bool tied_embeddings = false;
  int64_t max_positions = 0;     // of RoPE
  int64_t context_tokens = 0;    // the length the model was trained for, at most max_positions
  std::vector<int32_t> eos_ids;  // any of them ends an answer
};

struct ModelConfig {
  std::string layout;          // "apple", "fast_vlm", "mlx", "mlx_export" or "gguf"
  std::string model_type;      // as config.json says
  Dtype dtype = Dtype::kBf16;  // of the decoder's weights
  std::string dtype_text;      // the same as a user reads it
  VisionConfig vision;
  DecoderConfig decoder;
  std::optional<Calibration> calibration;  // of the image half, if its file has one
  int64_t vision_parameters = 0;           // without the head that only CLIP training used
  int64_t projector_parameters = 0;
  int64_t decoder_parameters = 0;  // a tied head counts once
  int64_t file_bytes = 0;          // all tensor files together
};

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_MODEL_CONFIG_H_
