// Where a model is fetched from, as a user names it.
#ifndef FASTVLM_HUB_SOURCE_H_
#define FASTVLM_HUB_SOURCE_H_

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm {

struct ModelSource {
  enum class Kind { kHub, kZip };
  Kind kind = Kind::kHub;
  std::string name;        // in the cache: "apple/FastVLM-0.5B"; two path components that are safe
  std::string repository;  // kHub: "owner/name"
  std::string revision;    // kHub: branch, tag or commit
  std::string url;         // kZip
};

// Reads what `fastvlm pull` is given:
//   apple/FastVLM-0.5B, hf:owner/name, owner/name@revision, https://huggingface.co/owner/name
//   https://host/path/name.zip; http likewise
//   FastVLM-0.5B, llava-fastvithd_0.5b_stage3: Apple's repositories and archives by name alone
// kInvalidArgument says what is wrong and what is expected.
Result<ModelSource> ParseModelSource(const std::string& text);

// The archives of Apple's ml-fastvlm (get_models.sh and app/get_pretrained_mlx_model.sh there).
const std::vector<std::string>& AppleArchives();

// Whether these are Apple's own files, whose licence allows research only.
bool IsFromApple(const ModelSource& source);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_SOURCE_H_
