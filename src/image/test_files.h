// The golden image files, for the tests of this folder.
#ifndef FASTVLM_IMAGE_TEST_FILES_H_
#define FASTVLM_IMAGE_TEST_FILES_H_

#include <gtest/gtest.h>
#include <zlib.h>

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "image/image.h"

namespace fastvlm {

inline std::string GoldenPath(const std::string& name) {
  return std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/image/" + name;
}

inline std::vector<uint8_t> GoldenBytes(const std::string& name) {
  auto bytes = ReadBinaryFile(GoldenPath(name), 1 << 20);
  EXPECT_TRUE(bytes.ok()) << bytes.status().message();
  return bytes.ok() ? *bytes : std::vector<uint8_t>();
}

inline Image GoldenImage(const std::string& name, const ImageOptions& options = {}) {
  auto image = DecodeImage(GoldenBytes(name), name, options);
  EXPECT_TRUE(image.ok()) << image.status().message();
  return image.ok() ? *image : Image();
}

// A binary PPM as make_image_golden.py writes it.
inline Image GoldenPpm(const std::string& name) {
  const std::vector<uint8_t> bytes = GoldenBytes(name);
  std::istringstream text(std::string(bytes.begin(), bytes.end()));
  std::string magic;
  int levels = 0;
  Image image;
  text >> magic >> image.width >> image.height >> levels;
  const size_t start = static_cast<size_t>(text.tellg()) + 1;
  image.pixels.assign(bytes.begin() + static_cast<std::ptrdiff_t>(start), bytes.end());
  EXPECT_EQ(magic, "P6");
  EXPECT_EQ(image.pixels.size(), static_cast<size_t>(image.width) * image.height * 3);
  return image;
}

struct GoldenFile {
  std::string name;  // below decode/
  int tolerance = 0;
  int orientation = 1;
  bool heif() const { return name.ends_with(".heic") || name.ends_with(".avif"); }
};

inline void PrintTo(const GoldenFile& file, std::ostream* out) { *out << file.name; }

inline std::vector<GoldenFile> GoldenFiles() {
  std::ifstream manifest(GoldenPath("decode/manifest.txt"));
  std::vector<GoldenFile> files;
  for (GoldenFile file; manifest >> file.name >> file.tolerance >> file.orientation;) {
    files.push_back(file);
  }
  return files;
}

using Bytes = std::vector<uint8_t>;

inline Bytes BytesOf(std::string_view text) { return Bytes(text.begin(), text.end()); }

inline Bytes Joined(std::initializer_list<Bytes> parts) {
  Bytes bytes;
  for (const Bytes& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

inline Bytes BigEndian32(size_t value) {
  return {static_cast<uint8_t>(value >> 24), static_cast<uint8_t>(value >> 16),
          static_cast<uint8_t>(value >> 8), static_cast<uint8_t>(value)};
}

// A chunk of a PNG; `damage` is added to its checksum.
inline Bytes PngChunk(std::string_view type, const Bytes& data, uint32_t damage = 0) {
  const Bytes body = Joined({BytesOf(type), data});
  const uLong checksum = crc32(0, body.data(), static_cast<uInt>(body.size()));
  return Joined({BigEndian32(data.size()), body, BigEndian32(checksum + damage)});
}

inline Bytes Deflated(const Bytes& bytes) {
  uLongf size = compressBound(bytes.size());
  Bytes result(size);
  EXPECT_EQ(compress2(result.data(), &size, bytes.data(), bytes.size(), 9), Z_OK);
  result.resize(size);
  return result;
}

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_TEST_FILES_H_
