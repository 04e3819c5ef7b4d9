// What the chunks of a PNG say about the orientation of its picture. Internal to src/image.
#ifndef FASTVLM_IMAGE_PNG_METADATA_H_
#define FASTVLM_IMAGE_PNG_METADATA_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

// Takes the chunks of a file in their order, before and after the pixels. What it does not know and
// what is damaged is left out, so nothing here fails. Checksums do not matter. Compressed text of
// more than kMaxTextBytes is not used, and a file may make it inflate kMaxInflatedBytes in all.
class PngMetadata {
 public:
  static constexpr size_t kMaxTextBytes = 1 << 20;
  static constexpr size_t kMaxInflatedBytes = 8 << 20;

  // type: the four letters of the chunk. data: its bytes without length, type and checksum. They
  // must stay valid until the last call of Orientation.
  void Add(std::string_view type, std::span<const uint8_t> data);

  // 1..8. EXIF is the last eXIf chunk, or else ImageMagick's text `Raw profile type exif`, or else
  // its `Raw profile type APP1`. XMP is the last text `XML:com.adobe.xmp`, or else that of APP1.
  int Orientation() const;

 private:
  void AddText(std::string_view type, std::string_view data);
  std::optional<std::string> Inflate(std::string_view compressed);

  std::optional<std::span<const uint8_t>> exif_chunk_;
  std::optional<std::vector<uint8_t>> exif_profile_;
  std::vector<uint8_t> app1_profile_;
  std::string xmp_;
  size_t inflated_bytes_ = 0;
};

// The bytes of a profile as ImageMagick writes it into text: newline, name, newline, length,
// newline, and hexadecimal digits with newlines between. The length is not used. Empty where
// anything else stands between the digits.
std::vector<uint8_t> ParseRawProfile(std::string_view text);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_PNG_METADATA_H_
