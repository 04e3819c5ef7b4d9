// What the decoder of each format is given and returns. Internal to src/image.
#ifndef FASTVLM_IMAGE_DECODER_H_
#define FASTVLM_IMAGE_DECODER_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"
#include "image/image.h"
#include "image/row_resizer.h"

namespace fastvlm {

struct ImageSource {
  std::span<const uint8_t> bytes;
  const std::string& name;
  const ImageOptions& options;
  const EncodeOptions* target = nullptr;  // what the picture is for, if that is known
};

struct DecodedImage {
  Image image;
  int orientation = 1;  // EXIF 1..8, still to be applied
  bool fitted = false;  // it is upright and has the size of ImageSource::target already
};

// Refuses an empty picture and one above the limits. Every decoder calls it before it allocates
// anything of that size.
Status CheckImageSize(const ImageSource& source, int64_t width, int64_t height);

// Refuses what needs more than ImageOptions::max_decode_bytes to be decoded.
Status CheckDecodeBytes(const ImageSource& source, int64_t width, int64_t height, int64_t bytes);

// Gives `image` its size and black pixels of 3 or 4 channels, after CheckImageSize and
// CheckDecodeBytes with `library_bytes` more. Throws OutOfMemory.
Status AllocateImage(const ImageSource& source, int64_t width, int64_t height, Image* image,
                     int channels = 3, int64_t library_bytes = 0);

// Makes RGB of RGBA: over the background of the options, if there is one.
void RemoveAlpha(const ImageSource& source, Image* image);

// What brings a stored picture of this size and orientation to the size that it is wanted in.
// nullptr if that is not known or takes more memory than the picture.
std::unique_ptr<RowResizer> ResizerFor(const ImageSource& source, int width, int height,
                                       int orientation);

Result<DecodedImage> DecodeJpeg(const ImageSource& source);
Result<DecodedImage> DecodePng(const ImageSource& source);
Result<DecodedImage> DecodeWebp(const ImageSource& source);
Result<DecodedImage> DecodeGif(const ImageSource& source);
Result<DecodedImage> DecodeBmp(const ImageSource& source);
Result<DecodedImage> DecodeHeif(const ImageSource& source);
Result<DecodedImage> DecodeTiff(const ImageSource& source);
Result<DecodedImage> DecodePnm(const ImageSource& source);
Result<DecodedImage> DecodeIco(const ImageSource& source);
// The bitmap of an icon: a BMP without its file header and twice as high, with a mask of 1 bit
// behind the colours.
Result<DecodedImage> DecodeIconBitmap(const ImageSource& source);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_DECODER_H_
