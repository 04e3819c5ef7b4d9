// Checkpoints in GGUF files: see gguf_model.h.
#include <algorithm>
#include <iterator>
#include <utility>

#include "checkpoint/checkpoint.h"
#include "checkpoint/decoder_reader.h"
#include "checkpoint/gguf_model.h"
#include "checkpoint/gguf_pair.h"
#include "checkpoint/layout.h"
#include "checkpoint/vision_reader.h"
#include "checkpoint/weight_reader.h"

namespace fastvlm {

Result<Checkpoint> Checkpoint::OpenGguf(const GgufPaths& paths,
                                        const std::string& vision_directory) {
  Checkpoint checkpoint;
  FASTVLM_RETURN_IF_ERROR(checkpoint.ReadGgufDecoder(paths.model));
  if (paths.interrupted) {
    checkpoint.warnings_.push_back(fmt::format(
        "{}: is read as {}: 'fastvlm quantize' was ended just before it renamed the file; rename "
        "it, or write both files again",
        paths.model, kModelGguf));
  }
  std::string vision = paths.vision;
  if (!vision_directory.empty()) {
    FASTVLM_ASSIGN_OR_RETURN(const GgufPaths other, FindGguf(vision_directory));
    if (other.vision.empty()) {
      FASTVLM_ASSIGN_OR_RETURN(Checkpoint source, Open(vision_directory));
      FASTVLM_RETURN_IF_ERROR(checkpoint.AdoptVision(std::move(source), vision_directory));
      return checkpoint;
    }
    vision = other.vision;
  }
  if (vision.empty()) {
    return Error(StatusCode::kNotFound,
                 "{}: holds the language model only, and there is no {} beside it; name "
                 "the directory of the FastVLM it was made from as vision_directory",
                 paths.model, kVisionGguf);
  }
  FASTVLM_RETURN_IF_ERROR(checkpoint.ReadGgufVision(vision));
  // Who names the image half's directory wants these two together.
  if (vision_directory.empty()) {
    FASTVLM_RETURN_IF_ERROR(
        CheckPair(paths.model, checkpoint.model_id_, vision, checkpoint.vision_id_));
  }
  return checkpoint;
}

Status Checkpoint::ReadGgufDecoder(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(GgufFile file, OpenGgufFile(path));
  FASTVLM_ASSIGN_OR_RETURN(model_id_, PairId(file.gguf));
  config_.layout = "gguf";
  config_.file_bytes = file.tensors.file_bytes;
  FASTVLM_RETURN_IF_ERROR(ReadGgufDecoderConfig(file, &config_));
  FASTVLM_ASSIGN_OR_RETURN(tokenizer_, ReadGgufTokenizer(file.gguf));
  WeightReader reader(file.tensors, GgufDecoderLayout());
  FASTVLM_ASSIGN_OR_RETURN(tensors_.decoder, ReadDecoder(&reader, config_.decoder, &warnings_));
  FASTVLM_RETURN_IF_ERROR(reader.CheckAllTaken(&warnings_));
  config_.decoder_parameters = reader.TakeParameterCount();
  const Tensor& weight = tensors_.decoder.layers.front().q.weight;
  config_.dtype = weight.dtype;
  config_.dtype_text = weight.TypeText();
  files_.push_back(std::move(file.tensors));
  return {};
}

Status Checkpoint::ReadGgufVision(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(GgufFile file, OpenGgufFile(path));
  FASTVLM_ASSIGN_OR_RETURN(vision_id_, PairId(file.gguf));
  FASTVLM_RETURN_IF_ERROR(PrepareGgufVision(&file, &config_.vision));
  FASTVLM_ASSIGN_OR_RETURN(config_.calibration, ReadGgufCalibration(file));
  config_.file_bytes += file.tensors.file_bytes;
  WeightReader reader(file.tensors, GgufVisionLayout());
  FASTVLM_ASSIGN_OR_RETURN(tensors_.vision, ReadVision(&reader, &config_.vision));
  config_.vision_parameters = reader.TakeParameterCount();
  if (config_.vision.image_size % config_.vision.stride() != 0) {
    return file.gguf.Wrong("clip.vision.image_size",
                           fmt::format("a multiple of {}", config_.vision.stride()));
  }
  FASTVLM_ASSIGN_OR_RETURN(
      tensors_.projector,
      ReadProjector(&reader, config_.vision.feature_channels, config_.decoder.hidden));
  config_.projector_parameters = reader.TakeParameterCount();
  FASTVLM_RETURN_IF_ERROR(reader.CheckAllTaken(&warnings_));
  files_.push_back(std::move(file.tensors));
  return {};
}

Status Checkpoint::AdoptVision(Checkpoint other, const std::string& directory) {
  if (other.config_.decoder.hidden != config_.decoder.hidden) {
    return Error(StatusCode::kDataError,
                 "{}: its image encoder is for a language model with {} values a token, this one "
                 "has {}: they do not belong together",
                 directory, other.config_.decoder.hidden, config_.decoder.hidden);
  }
  config_.vision = other.config_.vision;
  config_.calibration = std::move(other.config_.calibration);
  config_.vision_parameters = other.config_.vision_parameters;
  config_.projector_parameters = other.config_.projector_parameters;
  config_.file_bytes += other.config_.file_bytes;
  tensors_.vision = std::move(other.tensors_.vision);
  tensors_.projector = std::move(other.tensors_.projector);
  std::move(other.files_.begin(), other.files_.end(), std::back_inserter(files_));
  return {};
}

}  // namespace fastvlm
