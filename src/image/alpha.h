// Transparency over a background, as Pillow's Image.alpha_composite has it.
#ifndef FASTVLM_IMAGE_ALPHA_H_
#define FASTVLM_IMAGE_ALPHA_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "fastvlm/color.h"

namespace fastvlm {

// A level of `alpha` opacity, 0..255, over an opaque one.
uint8_t Over(uint8_t level, uint8_t alpha, uint8_t background);

// pixels: [pixels.size() / 4, RGBA] becomes [pixels.size() / 4, RGB] over the background, in place.
// Alpha is not multiplied into the colours.
void CompositeOver(Color background, std::vector<uint8_t>* pixels);

// The same size as CompositeOver leaves, with alpha dropped.
void DropAlpha(std::vector<uint8_t>* pixels);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_ALPHA_H_
