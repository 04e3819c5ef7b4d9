// SVG drawings to pixels (librsvg, cairo).
#ifndef FASTVLM_TRAIN_ART_SPRITES_H_
#define FASTVLM_TRAIN_ART_SPRITES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm::train {

// Renders a document into [side, side, 4] premultiplied RGBA, row-major: scaled to fit, centred,
// with the margins of the drawing. kDataError, beginning with `place`, for an SVG that cannot be
// parsed or that draws nothing. Several threads may render at once.
Result<std::vector<uint8_t>> RenderSvg(std::string_view svg, int side, const std::string& place);

// Draws the black lines of `lines` over a sprite, both [side, side, 4]. Of an area that `lines`
// fills with black only the border is drawn, as a pen would have done.
void DrawLines(const std::vector<uint8_t>& lines, int side, std::vector<uint8_t>* sprite);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_SPRITES_H_
