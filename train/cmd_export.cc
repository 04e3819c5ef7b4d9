#include <memory>
#include <string>

#include "train/commands.h"

namespace fastvlm::train {
CommandFn AddExport(CLI::App&) {
  return [] { return Status(); };
}
}  // namespace fastvlm::train
