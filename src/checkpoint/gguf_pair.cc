#include "checkpoint/gguf_pair.h"

#include <random>

#include "base/file.h"
#include "checkpoint/gguf_model.h"

namespace fastvlm {
namespace {

// "" if the file is not there, is no GGUF file, is cut off, or has no id.
std::string IdOfFile(const std::string& path) {
  if (!FileExists(path)) return "";
  const Result<GgufFile> file = OpenGgufFile(path);
  if (!file.ok()) return "";
  const Result<std::string> id = PairId(file->gguf);
  return id.ok() ? *id : "";
}

}  // namespace

std::string NewPairId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

Result<std::string> PairId(const Gguf& gguf) { return gguf.StringOr(kPairIdKey, ""); }

Status CheckPair(const std::string& model, const std::string& model_id, const std::string& vision,
                 const std::string& vision_id) {
  if (model_id.empty() || vision_id.empty() || model_id == vision_id) return {};
  return Error(StatusCode::kDataError,
               "{}: is from another run of 'fastvlm quantize' than {}: they may not belong "
               "together; write both again, or name the directory of the image encoder as "
               "vision_directory if they do",
               model, vision);
}

std::string InterruptedModel(const std::string& directory) {
  const std::string part = fmt::format("{}/{}.part", directory, kModelGguf);
  if (!FileExists(part)) return "";
  const std::string vision = IdOfFile(fmt::format("{}/{}", directory, kVisionGguf));
  if (vision.empty() || vision == IdOfFile(fmt::format("{}/{}", directory, kModelGguf))) return "";
  return vision == IdOfFile(part) ? part : "";
}

Status FinishInterrupted(const std::string& directory) {
  const std::string part = InterruptedModel(directory);
  if (part.empty()) return {};
  return FinishReplacement(fmt::format("{}/{}", directory, kModelGguf));
}

}  // namespace fastvlm
