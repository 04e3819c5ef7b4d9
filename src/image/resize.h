// Pillow's antialiased 8-bit bicubic resize, bit for bit.
#ifndef FASTVLM_IMAGE_RESIZE_H_
#define FASTVLM_IMAGE_RESIZE_H_

#include <cstdint>

#include "base/thread_pool.h"
#include "image/image.h"

namespace fastvlm {

// One dimension of a resize, in pixels. The image lies on a black canvas, the canvas is resized to
// `scaled` pixels, and `count` of these from `first` on are wanted. Neither the canvas nor the
// unwanted part is ever stored, so that padding a 30000 x 10 image to a square costs nothing.
// Requires 0 <= offset, offset + image size <= canvas, 0 <= first, first + count <= scaled.
struct ResizeAxis {
  int64_t canvas = 0;
  int64_t offset = 0;
  int64_t scaled = 0;
  int64_t first = 0;
  int count = 0;
};

// Result: [vertical.count, horizontal.count, 3]. Two passes, horizontal first, with 8-bit values
// between them:
//   out = clip((2^21 + sum_i k_i p_i) >> 22),  k_i = round(2^22 w_i / sum w)
//   w_i = K((i + 0.5 - c) / s),  c = (x + 0.5) canvas / scaled,  s = max(canvas / scaled, 1)
// K is Keys' cubic with a = -0.5; the windows and roundings are those of Pillow's Image.resize with
// BICUBIC and no reducing_gap: 9.4 to 12 always, 13 where it does not swap the passes, which it
// does for some pairs of different scales and, in all cases tried, never for equal ones. `pool` may
// be null; the result does not depend on it. The image must not be empty.
Image ResizeBicubic(const Image& image, const ResizeAxis& horizontal, const ResizeAxis& vertical,
                    ThreadPool* pool = nullptr);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_RESIZE_H_
