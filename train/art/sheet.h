// A picture of everything in a cache, for looking at.
#ifndef FASTVLM_TRAIN_ART_SHEET_H_
#define FASTVLM_TRAIN_ART_SHEET_H_

#include <string>

#include "base/status.h"
#include "train/art/art.h"

namespace fastvlm::train {

// Writes a PNG: each concept's name above its sprites in all styles, then a line of text in each
// font.
Status WriteSheet(const Art& art, const std::string& path);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_SHEET_H_
