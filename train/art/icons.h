// Icon sets as the @iconify-json packages hold them: one icons.json of SVG bodies by name.
#ifndef FASTVLM_TRAIN_ART_ICONS_H_
#define FASTVLM_TRAIN_ART_ICONS_H_

#include <nlohmann/json.hpp>
#include <string>

#include "base/status.h"

namespace fastvlm::train {

// Format: the IconifyJSON type of @iconify/types. Immutable after Open; threads may share it.
class IconSet {
 public:
  static Result<IconSet> Open(const std::string& path);

  bool Has(const std::string& name) const;

  // An icon, or the one an alias stands for, as a whole SVG document. kNotFound; kDataError for a
  // damaged entry or aliases that run in a circle; kUnsupported for a rotated alias.
  Result<std::string> Svg(const std::string& name) const;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
  nlohmann::json root_;
};

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_ART_ICONS_H_
