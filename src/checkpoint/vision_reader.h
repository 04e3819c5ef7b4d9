// Builds the image encoder and the projector from the tensors of a model's files. Widths and depths
// of the encoder come from names and shapes. The errors are those of WeightReader.
#ifndef FASTVLM_CHECKPOINT_VISION_READER_H_
#define FASTVLM_CHECKPOINT_VISION_READER_H_

#include <cstdint>

#include "base/status.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weight_reader.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// Fills everything of `config` but image_size.
Result<VisionTensors> ReadVision(WeightReader* reader, VisionConfig* config);

// features: channels of the encoder's features. hidden: width of the decoder.
Result<ProjectorTensors> ReadProjector(WeightReader* reader, int64_t features, int64_t hidden);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_VISION_READER_H_
