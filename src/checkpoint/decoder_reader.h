// Builds the decoder from the tensors of a model's files. Its widths and depth come from its
// config.
#ifndef FASTVLM_CHECKPOINT_DECODER_READER_H_
#define FASTVLM_CHECKPOINT_DECODER_READER_H_

#include <string>
#include <vector>

#include "base/status.h"
#include "checkpoint/model_config.h"
#include "checkpoint/weight_reader.h"
#include "checkpoint/weights.h"

namespace fastvlm {

// The errors are those of WeightReader. Adds to `warnings` if the head is tied to the embedding but
// the file holds one that differs from it.
Result<DecoderTensors> ReadDecoder(WeightReader* reader, const DecoderConfig& config,
                                   std::vector<std::string>* warnings);

}  // namespace fastvlm

#endif  // FASTVLM_CHECKPOINT_DECODER_READER_H_
