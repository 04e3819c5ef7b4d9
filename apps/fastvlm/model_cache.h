// Where the models that were pulled lie.
#ifndef FASTVLM_APPS_MODEL_CACHE_H_
#define FASTVLM_APPS_MODEL_CACHE_H_

#include <string>

#include "fastvlm/status.h"
#include "hub/cache.h"

namespace fastvlm {

// The value of an environment variable; empty if it is not set.
std::string Environment(const char* name);

// $XDG_CACHE_HOME/fastvlm, or ~/.cache/fastvlm. kNotFound if neither is known.
Result<ModelCache> OpenModelCache();

}  // namespace fastvlm

#endif  // FASTVLM_APPS_MODEL_CACHE_H_
