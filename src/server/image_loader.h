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
  ImageOptions image;  // what one picture of a request may be
  RemoteImageOptions remote;
};

// What a request wants its pictures for.
struct ImageUse {
  EncodeOptions encode;  // both sides above 0
  std::optional<Color> background = std::nullopt;
};

// Thread-safe. Few pictures are decoded at a time: decoding is work for the processor, and each may
// hold ImageOptions::max_decode_bytes meanwhile.
class ImageLoader {
 public:
  explicit ImageLoader(const ImageLoaderOptions& options) : options_(options) {}

  // Fetches and decodes each source into its `decoded`, which has the size that `use` wants where
  // that is smaller. `memory` is charged with fetched files and the pixels that are kept. Returns
  // the first error, after which the remaining pictures are left without pixels; it is 504 after
  // the deadline, and any error once `stop` gives true.
  std::optional<ApiError> Load(
      std::vector<CallImage> sources, const ImageUse& use, MemoryShare& memory,
      std::chrono::steady_clock::time_point deadline = std::chrono::steady_clock::time_point::max(),
      const std::function<bool()>& stop = {});

 private:
  static constexpr int kDecoders = 2;

  const ImageLoaderOptions options_;
  std::counting_semaphore<kDecoders> decoders_{kDecoders};
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_IMAGE_LOADER_H_
