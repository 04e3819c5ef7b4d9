// What the decoder of each format is given and returns. Internal to src/image.
#ifndef FASTVLM_IMAGE_DECODER_H_
#define FASTVLM_IMAGE_DECODER_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"
#include "image/image.h"

namespace fastvlm {

struct ImageSource {
  std::span<const uint8_t> bytes;
  const std::string& name;
  const ImageOptions& options;
};

struct DecodedImage {
  Image image;
  int orientation = 1;  // EXIF 1..8, still to be applied
};

// Refuses an empty picture and one above the limits. Every decoder calls it before it allocates
// anything of that size.
Status CheckImageSize(const ImageSource& source, int64_t width, int64_t height);

// Gives `image` its size and black pixels, after CheckImageSize. Throws OutOfMemory.
Status AllocateImage(const ImageSource& source, int64_t width, int64_t height, Image* image);

Result<DecodedImage> DecodeJpeg(const ImageSource& source);
Result<DecodedImage> DecodePng(const ImageSource& source);
Result<DecodedImage> DecodeWebp(const ImageSource& source);
Result<DecodedImage> DecodeGif(const ImageSource& source);
Result<DecodedImage> DecodeBmp(const ImageSource& source);
Result<DecodedImage> DecodeHeif(const ImageSource& source);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_DECODER_H_
