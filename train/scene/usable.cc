#include "train/scene/usable.h"

#include "train/scene/lettering.h"
#include "train/scene/sprite.h"

namespace fastvlm::train {

Status CheckUsable(const Art& art, bool held_out_style, bool held_out_fonts) {
  constexpr int kLeastConcepts = 8;
  if (!HasConcepts(art, StyleKindOf(held_out_style, false), kLeastConcepts)) {
    return Error(StatusCode::kInvalidArgument,
                 "the art has fewer than {} concepts in {} styles; make the cache again with "
                 "`fastvlm-train art` and all icon packages",
                 kLeastConcepts, held_out_style ? "held-out" : "training");
  }
  if (!HasFont(art, held_out_fonts)) {
    return Error(StatusCode::kInvalidArgument,
                 "the art has no {} font; make the cache again with `fastvlm-train art` and the "
                 "fonts installed",
                 held_out_fonts ? "held-out" : "training");
  }
  return Status();
}

}  // namespace fastvlm::train
