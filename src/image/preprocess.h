// Pixels of a decoded image as the vision encoder wants them.
#ifndef FASTVLM_IMAGE_PREPROCESS_H_
#define FASTVLM_IMAGE_PREPROCESS_H_

#include "base/buffer.h"
#include "base/status.h"
#include "base/thread_pool.h"
#include "fastvlm/options.h"
#include "image/image.h"
#include "image/resize.h"

namespace fastvlm {

struct PixelTensor {
  int height = 0;
  int width = 0;
  Buffer<float> values;  // [height, width, 3] RGB, each 8-bit level v as exactly v / 255.0f
};

struct FitAxes {
  ResizeAxis horizontal;
  ResizeAxis vertical;
};

// How a picture of width x height is brought to the target's size. All are positive.
FitAxes AxesOfFit(int width, int height, int target_width, int target_height, Fit fit);

// The largest side that a picture can be brought to.
inline constexpr int kMaxTargetSide = 16384;

// The 8-bit half of Preprocess: [height, width, 3] levels.
Result<Image> FitImage(const Image& image, int height, int width, Fit fit,
                       ThreadPool* pool = nullptr);

// Fits `image` to height x width with Pillow's bicubic and scales it to [0, 1]. FastVLM uses no
// mean and no standard deviation. Errors: kInvalidArgument for an empty image, a target side
// outside 1..16384 or a buffer that does not match the image's size. The result does not depend on
// `pool`, which may be null.
Result<PixelTensor> Preprocess(const Image& image, int height, int width, Fit fit,
                               ThreadPool* pool = nullptr);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_PREPROCESS_H_
