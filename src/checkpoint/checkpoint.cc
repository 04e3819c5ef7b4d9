#include "checkpoint/checkpoint.h"

#include <utility>

#include "base/file.h"
#include "checkpoint/config.h"
#include "checkpoint/decoder_reader.h"
#include "checkpoint/layout.h"
#include "checkpoint/vision_reader.h"
#include "checkpoint/weight_reader.h"

namespace fastvlm {
namespace {

Status CheckDirectory(const std::string& directory) {
  if (FileExists(directory)) {
    return Error(StatusCode::kInvalidArgument,
                 "{}: is a file, expected the directory that holds config.json and "
                 "model.safetensors, or a GGUF file",
                 directory);
  }
  if (PathExists(directory) && !DirectoryExists(directory)) {
    return Error(StatusCode::kInvalidArgument,
                 "{}: is neither a directory nor a file; expected the directory that holds "
                 "config.json and model.safetensors, or a GGUF file",
                 directory);
  }
  if (!DirectoryExists(directory)) {
    return Error(StatusCode::kNotFound, "{}: no such directory", directory);
  }
  return {};
}

struct Opened {
  TensorFiles files;
  Layout layout;
};

Result<Opened> OpenFiles(const std::string& directory, std::vector<std::string>* warnings) {
  FASTVLM_RETURN_IF_ERROR(CheckDirectory(directory));
  Opened opened;
  FASTVLM_ASSIGN_OR_RETURN(opened.files, OpenTensorFiles(directory, warnings));
  FASTVLM_ASSIGN_OR_RETURN(opened.layout, FindLayout(opened.files));
  if (opened.layout.mlx) FASTVLM_RETURN_IF_ERROR(PrepareMlxTensors(&opened.files));
  return opened;
}

Status CheckVisionDirectory(const std::string& directory, const Layout& layout,
                            const std::string& vision_directory) {
  if (layout.has_vision && !vision_directory.empty()) {
    return Error(StatusCode::kInvalidArgument,
                 "{}: holds the image encoder that belongs to it; leave out the vision directory "
                 "{}",
                 directory, vision_directory);
  }
  if (layout.has_vision || !vision_directory.empty()) return {};
  return Error(
      StatusCode::kNotFound,
      "{}: this is one of Apple's MLX exports, which hold the language model only; the image "
      "encoder beside it, fastvithd.mlpackage, is a program for Core ML and cannot be read here. "
      "Each size has its own encoder: download the original of the same size (apple/FastVLM-0.5B, "
      "-1.5B or -7B) and name its directory as vision_directory",
      directory);
}

// The image encoder of another checkpoint.
struct Encoder {
  VisionConfig config;
  VisionTensors tensors;
  int64_t parameters = 0;
  int64_t hidden = 0;  // width of the language model that it was trained with
};

Result<Encoder> ReadEncoder(const Opened& opened, const std::string& directory) {
  if (!opened.layout.has_vision) {
    return Error(StatusCode::kNotFound,
                 "{}: has no image encoder either; name the directory of apple/FastVLM-0.5B, -1.5B "
                 "or -7B",
                 directory);
  }
  Encoder encoder;
  WeightReader reader(opened.files, opened.layout);
  FASTVLM_ASSIGN_OR_RETURN(encoder.tensors, ReadVision(&reader, &encoder.config));
  encoder.parameters = reader.TakeParameterCount();
  FASTVLM_ASSIGN_OR_RETURN(encoder.hidden, reader.Size("projector.first.weight", 2, 0));
  return encoder;
}

// An encoder is trained together with one language model.
Status CheckSameSize(const std::string& directory, int64_t hidden,
                     const std::string& vision_directory, int64_t vision_hidden) {
  if (vision_hidden == hidden) return {};
  return Error(StatusCode::kInvalidArgument,
               "{}: its language model has {} channels, that of {} has {}: each size of FastVLM "
               "has its own image encoder, name the directory of the same size",
               vision_directory, vision_hidden, directory, hidden);
}

}  // namespace

Result<Checkpoint> Checkpoint::Open(const std::string& directory,
                                    const std::string& vision_directory) {
  FASTVLM_ASSIGN_OR_RETURN(const GgufPaths gguf, FindGguf(directory));
  if (!gguf.model.empty()) return OpenGguf(gguf, vision_directory);
  Checkpoint checkpoint;
  FASTVLM_ASSIGN_OR_RETURN(Opened opened, OpenFiles(directory, &checkpoint.warnings_));
  FASTVLM_RETURN_IF_ERROR(CheckVisionDirectory(directory, opened.layout, vision_directory));
  ModelConfig& config = checkpoint.config_;
  ModelTensors& tensors = checkpoint.tensors_;
  config.layout = opened.layout.name;
  config.file_bytes = opened.files.file_bytes;

  WeightReader reader(opened.files, opened.layout);
  int64_t vision_hidden = 0;  // 0: the encoder is this model's own
  if (opened.layout.has_vision) {
    FASTVLM_ASSIGN_OR_RETURN(tensors.vision, ReadVision(&reader, &config.vision));
    config.vision_parameters = reader.TakeParameterCount();
  } else {
    FASTVLM_ASSIGN_OR_RETURN(Opened other, OpenFiles(vision_directory, &checkpoint.warnings_));
    FASTVLM_ASSIGN_OR_RETURN(Encoder encoder, ReadEncoder(other, vision_directory));
    tensors.vision = std::move(encoder.tensors);
    config.vision = std::move(encoder.config);
    config.vision_parameters = encoder.parameters;
    vision_hidden = encoder.hidden;
    checkpoint.files_.push_back(std::move(other.files));
  }
  FASTVLM_RETURN_IF_ERROR(ReadConfig(directory, &config, &checkpoint.warnings_));
  if (vision_hidden != 0) {
    FASTVLM_RETURN_IF_ERROR(
        CheckSameSize(directory, config.decoder.hidden, vision_directory, vision_hidden));
  }
  FASTVLM_ASSIGN_OR_RETURN(tensors.projector, ReadProjector(&reader, config.vision.feature_channels,
                                                            config.decoder.hidden));
  config.projector_parameters = reader.TakeParameterCount();
  FASTVLM_ASSIGN_OR_RETURN(tensors.decoder,
                           ReadDecoder(&reader, config.decoder, &checkpoint.warnings_));
  config.decoder_parameters = reader.TakeParameterCount();
  const Tensor& weight = tensors.decoder.layers.front().q.weight;
  config.dtype = weight.dtype;
  config.dtype_text = weight.TypeText();
  FASTVLM_RETURN_IF_ERROR(reader.CheckAllTaken(&checkpoint.warnings_));
  checkpoint.files_.push_back(std::move(opened.files));
  return checkpoint;
}

}  // namespace fastvlm
