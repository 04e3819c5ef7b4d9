#include "fastvlm/image.h"

#include <string_view>

#include "base/file.h"
#include "base/out_of_memory.h"
#include "base/status.h"
#include "image/image.h"

namespace fastvlm {
namespace {

MemoryUse FileMemory(std::string_view name) {
  return {"the bytes of the file", "choose a smaller file", name};
}

}  // namespace

Result<Image> Image::FromFile(const std::string& path, const ImageOptions& options) {
  return CatchOutOfMemory(FileMemory(path), [&]() -> Result<Image> {
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                             ReadBinaryFile(path, options.max_file_bytes, FileKind::kAny));
    return FromBytes(bytes, path, options);
  });
}

Result<Image> Image::FromStandardInput(const ImageOptions& options) {
  return CatchOutOfMemory(FileMemory("standard input"), [&]() -> Result<Image> {
    FASTVLM_ASSIGN_OR_RETURN(const std::vector<uint8_t> bytes,
                             ReadStandardInput(options.max_file_bytes));
    return FromBytes(bytes, "standard input", options);
  });
}

Result<Image> Image::FromBytes(std::span<const uint8_t> bytes, const std::string& name,
                               const ImageOptions& options) {
  return DecodeImage(bytes, name, options);
}

Result<Image> Image::FromBytesFor(const EncodeOptions& target, std::span<const uint8_t> bytes,
                                  const std::string& name, const ImageOptions& options) {
  return DecodeImageFor(target, bytes, name, options);
}

}  // namespace fastvlm
