// EXIF orientation: finding it and undoing it.
#ifndef FASTVLM_IMAGE_ORIENTATION_H_
#define FASTVLM_IMAGE_ORIENTATION_H_

#include <cstdint>
#include <span>

#include "image/image.h"

namespace fastvlm {

// Value 1..8 of the Orientation tag (0x0112) in the first directory of an EXIF block, with or
// without the leading "Exif\0\0" of JPEG. 1, upright, when there is none or the block is damaged:
// metadata never makes an image unreadable. Source: EXIF 2.32, TIFF 6.0 section 2.
int ReadExifOrientation(std::span<const uint8_t> exif);

// The picture as a viewer shows it; width and height swap for 5..8. orientation: 1..8.
Image ApplyOrientation(Image image, int orientation);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_ORIENTATION_H_
