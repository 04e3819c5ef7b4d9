#include "image/preprocess.h"

#include <algorithm>
namespace fastvlm {
namespace {

ResizeAxis WholeAxis(int source, int target) {
  return {.canvas = source, .offset = 0, .scaled = target, .first = 0, .count = target};
}

// The image in the middle of the smallest canvas of the target's shape; an odd pixel of black goes
// right or below. A square target gives LLaVA's expand2square; for others the canvas's longer side
// is rounded to the nearest pixel.
FitAxes PadAxes(int64_t width, int64_t height, int target_width, int target_height) {
  const int64_t needed_width = (2 * height * target_width + target_height) / (2 * target_height);
  const int64_t needed_height = (2 * width * target_height + target_width) / (2 * target_width);
  FitAxes axes{WholeAxis(static_cast<int>(width), target_width),
               WholeAxis(static_cast<int>(height), target_height)};
  if (width * target_height >= height * target_width) {
    axes.vertical.canvas = std::max(height, needed_height);
  } else {
    axes.horizontal.canvas = std::max(width, needed_width);
  }
  axes.horizontal.offset = (axes.horizontal.canvas - width) / 2;
  axes.vertical.offset = (axes.vertical.canvas - height) / 2;
  return axes;
}

// CLIPImageProcessor: the side that is short of the target's shape gets the target's size, the
// other one keeps the ratio, truncated; the centre is cut with the offset rounded down.
FitAxes CropAxes(int64_t width, int64_t height, int target_width, int target_height) {
  FitAxes axes{WholeAxis(static_cast<int>(width), target_width),
               WholeAxis(static_cast<int>(height), target_height)};
  if (width * target_height <= height * target_width) {
    axes.vertical.scaled = height * target_width / width;
  } else {
    axes.horizontal.scaled = width * target_height / height;
  }
  axes.horizontal.first = (axes.horizontal.scaled - target_width) / 2;
  axes.vertical.first = (axes.vertical.scaled - target_height) / 2;
  return axes;
}

}  // namespace

FitAxes AxesOfFit(int width, int height, int target_width, int target_height, Fit fit) {
  switch (fit) {
    case Fit::kPad:
      return PadAxes(width, height, target_width, target_height);
    case Fit::kCrop:
      return CropAxes(width, height, target_width, target_height);
    case Fit::kStretch:
      break;
  }
  return {WholeAxis(width, target_width), WholeAxis(height, target_height)};
}

Result<Image> FitImage(const Image& image, int height, int width, Fit fit, ThreadPool* pool) {
  if (image.width <= 0 || image.height <= 0 ||
      image.pixels.size() / 3 != static_cast<size_t>(image.width) * image.height ||
      image.pixels.size() % 3 != 0) {
    return Error(StatusCode::kInvalidArgument, "an image of {} x {} needs {} RGB bytes, not {}",
                 image.width, image.height, int64_t{3} * image.width * image.height,
                 image.pixels.size());
  }
  if (height < 1 || width < 1 || height > kMaxTargetSide || width > kMaxTargetSide) {
    return Error(StatusCode::kInvalidArgument,
                 "the image cannot be resized to {} x {}: sides of 1 to {} pixels are possible",
                 width, height, kMaxTargetSide);
  }
  const FitAxes axes = AxesOfFit(image.width, image.height, width, height, fit);
  return ResizeBicubic(image, axes.horizontal, axes.vertical, pool);
}

Result<PixelTensor> Preprocess(const Image& image, int height, int width, Fit fit,
                               ThreadPool* pool) {
  FASTVLM_ASSIGN_OR_RETURN(const Image fitted, FitImage(image, height, width, fit, pool));
  PixelTensor tensor;
  tensor.height = height;
  tensor.width = width;
  tensor.values = Buffer<float>(fitted.pixels.size());
  for (size_t i = 0; i < fitted.pixels.size(); ++i) {
    tensor.values[i] = static_cast<float>(fitted.pixels[i]) / 255.0f;
  }
  return tensor;
}

}  // namespace fastvlm
