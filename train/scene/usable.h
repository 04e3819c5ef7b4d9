// Whether an art cache holds what scenes need.
#ifndef FASTVLM_TRAIN_SCENE_USABLE_H_
#define FASTVLM_TRAIN_SCENE_USABLE_H_

#include "base/status.h"
#include "train/art/art.h"

namespace fastvlm::train {

// MakeScene and MakeCrop need at least eight concepts in a style of the wanted kind and a font of
// the wanted kind, or they abort. kInvalidArgument says which is missing.
Status CheckUsable(const Art& art, bool held_out_style, bool held_out_fonts);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_SCENE_USABLE_H_
