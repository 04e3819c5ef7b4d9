// Gives the pictures of a request their pixels.
#ifndef FASTVLM_SERVER_IMAGE_LOADER_H_
#define FASTVLM_SERVER_IMAGE_LOADER_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <semaphore>
#include <vector>

#include "fastvlm/image.h"
#include "server/api_error.h"
#include "server/call.h"
#include "server/memory_budget.h"
#include "server/remote_image.h"

namespace fastvlm {

struct ImageLoaderOptions {
  // What one picture of a request may be: a photo of 50 megapixels is 150 MB of RGB.
  ImageOptions image = {.max_pixels = 50'000'000, .max_side = 32'768};
  RemoteImageOptions remote;
};

// Thread-safe. Few pictures are decoded at a time: decoding is work for the processor, and the
// memory it takes is only known afterwards.
class ImageLoader {
 public:
  explicit ImageLoader(const ImageLoaderOptions& options) : options_(options) {}

  // Fetches and decodes each source into its `decoded`. `memory` is charged with fetched files and
  // pixels. Returns the first error, after which the remaining pictures are left without pixels;
  // it is 504 after the deadline, and any error once `stop` gives true.
  std::optional<ApiError> Load(std::vector<CallImage> sources, MemoryShare& memory,
                               std::chrono::steady_clock::time_point deadline,
                               const std::function<bool()>& stop);

 private:
  static constexpr int kDecoders = 2;

  const ImageLoaderOptions options_;
  std::counting_semaphore<kDecoders> decoders_{kDecoders};
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_IMAGE_LOADER_H_
