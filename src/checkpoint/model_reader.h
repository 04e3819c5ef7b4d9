// Builds the parts of a model from the tensors of its files. Widths and depths of the image encoder
// come from names and shapes, those of the decoder from its config. Errors as WeightReader's.
#ifndef FASTVLM_CHECKPOINT_MODEL_READER_H_
#define FASTVLM_CHECKPOINT_MODEL_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weight_reader.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// Fills everything of `config` but image_size.
Result<VisionTensors> ReadVision(WeightReader* reader, VisionConfig* config);

Result<ProjectorTensors> ReadProjector(WeightReader* reader, int64_t features, int64_t hidden);

// Adds to `warnings` if the model is tied and the file holds a head that is not its embedding.
Result<DecoderTensors> ReadDecoder(WeightReader* reader, const DecoderConfig& config,
                                   std::vector<std::string>* warnings);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_MODEL_READER_H_
