// Which model a command uses, and loading it.
#ifndef FASTVLM_APPS_MODELS_H_
#define FASTVLM_APPS_MODELS_H_

#include <memory>
#include <string>

#include "fastvlm/model.h"
#include "flags.h"
#include "hub/cache.h"

namespace fastvlm {

// The value of an environment variable; empty if it is not set.
std::string Environment(const char* name);

// Directory of the model that comes with the program: ../share/fastvlm/models/nano from the
// directory the executable is in. The build tree has a link there to the sources' models/.
// kNotFound says where it was looked for.
Result<std::string> FindBundledModel();

// $XDG_CACHE_HOME/fastvlm, or ~/.cache/fastvlm. kNotFound if neither is known.
Result<ModelCache> OpenModelCache();

// The directory of --model: the bundled model if the flag is not given or "nano", a directory of
// this path, or the model of this name in the cache. kNotFound says what is in the cache and how to
// fetch the model.
Result<std::string> ModelDirectory(const std::string& flag);

// The directory of --vision, likewise; empty if the flag is not given.
Result<std::string> VisionDirectory(const std::string& flag);

// Loads the model the flags choose, with a progress line, and prints its warnings.
Result<std::shared_ptr<const Model>> LoadModel(const ModelFlags& flags);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_MODELS_H_
