#include "checkpoint/checkpoint.h"

#include <utility>

#include "checkpoint/config.h"
#include "checkpoint/layout.h"
#include "checkpoint/model_reader.h"
#include "checkpoint/tensor_files.h"
#include "checkpoint/weight_reader.h"

namespace fastvlm {

Result<Checkpoint> Checkpoint::Open(const std::string& directory) {
  if (FileExists(directory)) {
    return Error(StatusCode::kInvalidArgument,
                 "{}: is a file, expected the directory that holds config.json and "
                 "model.safetensors",
                 directory);
  }
  if (!DirectoryExists(directory)) {
    return Error(StatusCode::kNotFound, "{}: no such directory", directory);
  }
  FASTVLM_ASSIGN_OR_RETURN(TensorFiles files, OpenTensorFiles(directory));
  FASTVLM_ASSIGN_OR_RETURN(Layout layout, FindLayout(files));
  Checkpoint checkpoint;
  ModelConfig& config = checkpoint.config_;
  ModelTensors& tensors = checkpoint.tensors_;
  config.layout = layout.name;
  config.file_bytes = files.file_bytes;

  WeightReader reader(files, std::move(layout));
  FASTVLM_ASSIGN_OR_RETURN(tensors.vision, ReadVision(&reader, &config.vision));
  config.vision_parameters = reader.TakeParameterCount();
  FASTVLM_RETURN_IF_ERROR(ReadConfig(directory, &config, &checkpoint.warnings_));
  FASTVLM_ASSIGN_OR_RETURN(tensors.projector, ReadProjector(&reader, config.vision.feature_channels,
                                                            config.decoder.hidden));
  config.projector_parameters = reader.TakeParameterCount();
  FASTVLM_ASSIGN_OR_RETURN(tensors.decoder,
                           ReadDecoder(&reader, config.decoder, &checkpoint.warnings_));
  config.decoder_parameters = reader.TakeParameterCount();
  config.dtype = tensors.decoder.layers.front().q.weight.dtype;
  FASTVLM_RETURN_IF_ERROR(reader.CheckAllTaken());
  checkpoint.files_ = std::move(files.files);
  return checkpoint;
}

}  // namespace fastvlm
