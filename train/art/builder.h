// Makes the art cache from icon packages and font files.
#ifndef FASTVLM_TRAIN_ART_BUILDER_H_
#define FASTVLM_TRAIN_ART_BUILDER_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "train/art/concepts.h"
#include "train/art/glyphs.h"

namespace fastvlm::train {

struct ArtSources {
  std::vector<ConceptRow> concepts;
  std::vector<Style> styles;
  std::vector<FontFile> fonts;
  std::string icon_directory;  // <icon_directory>/<style>/icons.json
  std::string font_directory;  // searched at any depth
  int threads = 2;
};

// The compiled-in table, styles and fonts.
Result<ArtSources> DefaultSources();

struct ArtReport {
  std::vector<int> sprites;  // how many each style has
};

// Renders everything and writes `output` atomically. Called now and then from one thread:
// progress(rendered, all). Errors name the file at fault and what to do; a concept without an icon
// in any training style is kNotFound.
Result<ArtReport> BuildCache(const ArtSources& sources, const std::string& output,
                             const std::function<void(int64_t, int64_t)>& progress);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_BUILDER_H_
