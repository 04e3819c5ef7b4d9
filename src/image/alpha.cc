#include "image/alpha.h"

#include <algorithm>

namespace fastvlm {

uint8_t Over(uint8_t level, uint8_t alpha, uint8_t background) {
  if (alpha == 0) return background;
  // Pillow's shares have 7 bits behind the point, and its division by 255 is a rounded one that is
  // made of shifts.
  constexpr int kBits = 7;
  const uint32_t share = uint32_t{alpha} << kBits;
  const uint32_t rest = (uint32_t{255} << kBits) - share;
  const uint32_t sum = level * share + background * rest + (0x80u << kBits);
  return static_cast<uint8_t>((((sum >> 8) + sum) >> 8) >> kBits);
}

void CompositeOver(Color background, std::vector<uint8_t>* pixels) {
  const size_t count = pixels->size() / 4;
  uint8_t* to = pixels->data();
  const uint8_t* from = pixels->data();
  for (size_t i = 0; i < count; ++i, from += 4, to += 3) {
    const uint8_t rgba[4] = {from[0], from[1], from[2], from[3]};
    to[0] = Over(rgba[0], rgba[3], background.red);
    to[1] = Over(rgba[1], rgba[3], background.green);
    to[2] = Over(rgba[2], rgba[3], background.blue);
  }
  pixels->resize(count * 3);
}

void DropAlpha(std::vector<uint8_t>* pixels) {
  const size_t count = pixels->size() / 4;
  for (size_t i = 1; i < count; ++i) {
    std::copy_n(pixels->begin() + static_cast<ptrdiff_t>(i) * 4, 3,
                pixels->begin() + static_cast<ptrdiff_t>(i) * 3);
  }
  pixels->resize(count * 3);
}

}  // namespace fastvlm
