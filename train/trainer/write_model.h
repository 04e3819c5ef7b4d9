// Writes a trained network as a model directory.
#ifndef FASTVLM_TRAIN_TRAINER_WRITE_MODEL_H_
#define FASTVLM_TRAIN_TRAINER_WRITE_MODEL_H_

#include <string>

#include "text/tokenizer.h"
#include "train/nn/network.h"

namespace fastvlm::train {

enum class ExportPrecision { kF32, kF16 };

// Fills `directory`, which is made if need be, with a model in transformers' fast_vlm layout:
// model.safetensors with the fused tensors, config.json, generation_config.json, the two processor
// configurations, and the tokenizer's files from `tokenizer_directory`. kF16 stores convolutions
// and matrices in 16 bits; gains, biases and moments stay f32. Each file is replaced atomically,
// the weights last. kDataError if a weight does not fit f16.
Status WriteModel(const Network& network, const Tokenizer& tokenizer,
                  const std::string& tokenizer_directory, ExportPrecision precision,
                  const std::string& directory);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_TRAINER_WRITE_MODEL_H_
