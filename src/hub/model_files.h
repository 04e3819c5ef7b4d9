// Which files of a repository or archive make a model, by name. Names from a network are not
// trusted.
#ifndef FASTVLM_HUB_MODEL_FILES_H_
#define FASTVLM_HUB_MODEL_FILES_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm {

// Whether `name` is one path component that every file system takes: letters, digits and ". _ - +",
// no dot at its start, at most 255 bytes.
bool IsSafeName(std::string_view name);

// "LICENSE", "LICENSE.txt", "LICENSE_MODEL", ...
bool IsLicenceFile(std::string_view name);

// The files that are needed, weights last: configuration, tokenizer, licence, and either
// model.safetensors, its shards with their index, or model.gguf and mmproj.gguf. `names` may hold
// anything, paths in folders and hostile ones included: those are never chosen. `origin` is for
// messages. kUnsupported if config.json (without which only GGUF is complete) or the weights are
// missing.
Result<std::vector<std::string>> SelectModelFiles(const std::vector<std::string>& names,
                                                  const std::string& origin);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_MODEL_FILES_H_
