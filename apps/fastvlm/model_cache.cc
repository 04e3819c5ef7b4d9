#include "model_cache.h"

#include <cstdlib>
#include <string>

namespace fastvlm {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

Result<ModelCache> OpenModelCache() {
  // The XDG specification says that a relative path is to be ignored.
  std::string base = Environment("XDG_CACHE_HOME");
  if (!base.starts_with('/')) {
    base = Environment("HOME");
    if (!base.starts_with('/')) {
      return Status(StatusCode::kNotFound,
                    "no place for models: set XDG_CACHE_HOME or HOME to a directory");
    }
    base += "/.cache";
  }
  const ModelCache cache(base + "/fastvlm");
  cache.Recover();  // from a pull that was ended at the worst moment
  return cache;
}

}  // namespace fastvlm
