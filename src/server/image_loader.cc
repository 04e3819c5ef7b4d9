#include "server/image_loader.h"

#include <utility>

#include "base/out_of_memory.h"

namespace fastvlm {
namespace {

// A wait for a decoder looks this often whether the request is still wanted.
constexpr std::chrono::milliseconds kLookForDecoder(100);

ApiError BadImage(const Status& status, const std::string& param) {
  ApiError error = BadRequest(param, "Invalid image: " + status.message());
  error.code = "invalid_image";
  if (status.code() == StatusCode::kResourceExhausted) error.code = "image_too_large";
  if (IsOutOfMemory(status)) return NoMemory(/*alone=*/false);
  if (status.code() == StatusCode::kIoError || status.code() == StatusCode::kTimedOut ||
      status.code() == StatusCode::kCancelled) {
    return FromStatus(status, param);
  }
  return error;
}

}  // namespace

std::optional<ApiError> ImageLoader::Load(std::vector<CallImage> sources, const ImageUse& use,
                                          MemoryShare& memory,
                                          std::chrono::steady_clock::time_point deadline,
                                          const std::function<bool()>& stop) {
  ImageOptions options = options_.image;
  options.background = use.background;
  for (CallImage& source : sources) {
    if (!source.url.empty()) {
      FetchLimits limits{deadline, stop, [&memory](size_t bytes) {
                           return memory.Take(static_cast<int64_t>(bytes));
                         }};
      Result<std::vector<uint8_t>> file = FetchRemoteImage(source.url, options_.remote, limits);
      if (!file.ok()) return BadImage(file.status(), source.param);
      source.file = std::move(file).value();
    }
    while (!decoders_.try_acquire_for(kLookForDecoder)) {
      if (stop && stop()) return Unavailable("The request was given up.");
      if (std::chrono::steady_clock::now() > deadline) {
        return FromStatus(Error(StatusCode::kTimedOut, "The pictures were not read in time."));
      }
    }
    Result<Image> image = Image::FromBytesFor(use.encode, source.file, source.param, options);
    decoders_.release();
    source.file = {};
    if (!image.ok()) return BadImage(image.status(), source.param);
    const auto bytes = static_cast<int64_t>(image->pixels.size());
    if (!memory.Take(bytes)) return NoMemory(/*alone=*/!memory.CouldTake(bytes));
    *source.decoded = std::move(image).value();
  }
  return std::nullopt;
}

}  // namespace fastvlm
