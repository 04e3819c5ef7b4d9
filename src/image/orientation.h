// Orientation of a picture: finding it in EXIF and XMP, and undoing it.
#ifndef FASTVLM_IMAGE_ORIENTATION_H_
#define FASTVLM_IMAGE_ORIENTATION_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "image/image.h"

namespace fastvlm {

// What the file of a picture holds about its orientation. Both are views of memory of the caller's,
// and empty where the file has none.
struct OrientationSources {
  std::span<const uint8_t> exif;  // with or without the leading "Exif\0\0" of JPEG
  std::string_view xmp;
};

// What begins an APP1 segment of JPEG that holds EXIF, and one that holds XMP.
inline constexpr std::string_view kExifPrefix("Exif\0\0", 6);
inline constexpr std::string_view kXmpPrefix("http://ns.adobe.com/xap/1.0/\0", 29);

bool HasExifPrefix(std::span<const uint8_t> bytes);

// Value 1..8, from XMP only where EXIF has no Orientation tag, as in Pillow's Image.getexif. 1,
// upright, when there is none or a value is outside of 1..8: metadata never makes an image
// unreadable.
int ReadOrientation(const OrientationSources& sources);

// Value 1..8 of the Orientation tag (0x0112) in the first directory of an EXIF block, 1 for another
// value, and nothing when there is no such tag or the block is damaged before it. Source: EXIF
// 2.32, TIFF 6.0 section 2.
std::optional<int> ReadExifOrientation(std::span<const uint8_t> exif);

// The digit after the first `tiff:Orientation="` (an attribute) or `tiff:Orientation>` (an element)
// that a digit follows, 1 if it is not 1..8, and nothing when there is none. Pillow searches for
// the same characters; the packet is not parsed, so a broken one does no harm.
std::optional<int> ReadXmpOrientation(std::string_view xmp);

// The picture as a viewer shows it; width and height swap for 5..8. orientation: 1..8.
Image ApplyOrientation(Image image, int orientation);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_ORIENTATION_H_
