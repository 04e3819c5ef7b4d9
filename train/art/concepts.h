// The table of things that scenes can show (concepts.tsv, compiled in) and the styles they come in.
#ifndef FASTVLM_TRAIN_ART_CONCEPTS_H_
#define FASTVLM_TRAIN_ART_CONCEPTS_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "train/art/art.h"

namespace fastvlm::train {

struct ConceptRow {
  // What a package calls its icon for this concept. An empty name says that no drawing of the
  // package fits.
  struct Override {
    std::string package;
    std::string icon;
  };

  Concept about;
  std::vector<Override> overrides;
  std::vector<std::string> icons;  // of every other package, best first

  // The icon names to look for in `package`, best first; may be empty.
  std::vector<std::string> IconsIn(std::string_view package) const;
};

// Reads a table: its format is described at the top of concepts.tsv. kDataError names the line,
// which is `name`:<number>.
Result<std::vector<ConceptRow>> ParseConcepts(std::string_view table, std::string_view name);

// The compiled-in concepts.tsv.
std::string_view ConceptTable();

// The styles of the cache. One has its package's name, or is a LinedStyle.
const std::vector<Style>& Styles();

// A style made of two packages by the same artists: the coloured drawings of one, under the lines
// of the black ones of the other.
struct LinedStyle {
  std::string name, drawing, lines;
};
const LinedStyle* FindLinedStyle(std::string_view name);  // null: a package's own style

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_CONCEPTS_H_
