#include "server/image_loader.h"

#include <utility>

namespace fastvlm {
namespace {

ApiError BadImage(const Status& status, const std::string& param) {
  ApiError error = BadRequest(param, "Invalid image: " + status.message());
  error.code = "invalid_image";
  if (status.code() == StatusCode::kResourceExhausted) error.code = "image_too_large";
  if (status.code() == StatusCode::kIoError) error = FromStatus(status, param);
  return error;
}

}  // namespace

std::optional<ApiError> ImageLoader::Load(std::vector<CallImage> sources, const ImageUse& use,
                                          MemoryShare& memory) {
  ImageOptions options = options_.image;
  options.background = use.background;
  for (CallImage& source : sources) {
    if (!source.url.empty()) {
      Result<std::vector<uint8_t>> file = FetchRemoteImage(source.url, options_.remote);
      if (!file.ok()) return BadImage(file.status(), source.param);
      source.file = std::move(file).value();
    }
    decoders_.acquire();
    Result<Image> image = Image::FromBytesFor(use.encode, source.file, source.param, options);
    decoders_.release();
    source.file = {};
    if (!image.ok()) return BadImage(image.status(), source.param);
    if (!memory.Take(static_cast<int64_t>(image->pixels.size()))) {
      return Unavailable("The images of all requests take too much memory; try again later.");
    }
    *source.decoded = std::move(image).value();
  }
  return std::nullopt;
}

}  // namespace fastvlm
