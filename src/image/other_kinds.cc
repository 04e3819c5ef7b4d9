#include "image/other_kinds.h"

#include <algorithm>

namespace fastvlm {
namespace {

constexpr size_t kLookedAt = 1024;

constexpr std::string_view kPdf =
    "a PDF is not a picture; convert the page, for example with 'pdftoppm -png -r 150'";
constexpr std::string_view kSvg =
    "an SVG is a drawing, not a picture; convert it, for example with 'rsvg-convert'";
constexpr std::string_view kHtml =
    "this is a web page, not a picture; save or name the picture itself";
constexpr std::string_view kVideo =
    "a video is not a picture; take a frame of it, for example with "
    "'ffmpeg -i VIDEO -frames:v 1 frame.png'";
constexpr std::string_view kPsd = "Photoshop files are not read; export the picture";
constexpr std::string_view kJxl = "JPEG XL is not read; convert it, for example with 'djxl'";
constexpr std::string_view kJp2 = "JPEG 2000 is not read; convert it";
constexpr std::string_view kPostScript = "PostScript is not a picture; convert it";

struct Kind {
  size_t offset;
  std::string_view bytes;
  std::string_view what;
};
constexpr Kind kKinds[] = {
    {0, "8BPS", kPsd},
    {0, "\xff\x0a", kJxl},
    {0, {"\0\0\0\x0cJXL ", 8}, kJxl},
    {0, {"\0\0\0\x0cjP  ", 8}, kJp2},
    {0, "\xff\x4f\xff\x51", kJp2},
    {0, "%!PS", kPostScript},
    {4, "ftyp", kVideo},
    {0, "\x1a\x45\xdf\xa3", kVideo},
    {8, "AVI ", kVideo},
    {0, "OggS", kVideo},
};

}  // namespace

std::string_view OtherKindOf(std::span<const uint8_t> bytes) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              std::min(bytes.size(), kLookedAt));
  for (const Kind& kind : kKinds) {
    if (text.size() > kind.offset && text.substr(kind.offset).starts_with(kind.bytes)) {
      return kind.what;
    }
  }
  // These may stand behind a few other bytes, such as a declaration or a comment.
  if (text.find("%PDF-") != std::string_view::npos) return kPdf;
  if (text.find("<svg") != std::string_view::npos) return kSvg;
  for (const char* tag : {"<!DOCTYPE html", "<!doctype html", "<html", "<HTML"}) {
    if (text.find(tag) != std::string_view::npos) return kHtml;
  }
  return {};
}

}  // namespace fastvlm
