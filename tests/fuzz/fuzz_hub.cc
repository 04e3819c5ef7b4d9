// What a server says about a model: any text gives a listing or an error, and only names that are
// safe to create are ever chosen from it.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "hub/hub_api.h"
#include "hub/model_files.h"
#include "hub/source.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto source = fastvlm::ParseModelSource(std::string(text));
  if (source.ok()) {
    const size_t slash = source->name.find('/');
    FASTVLM_CHECK(slash != std::string::npos &&
                  source->name.find('/', slash + 1) == std::string::npos);
    FASTVLM_CHECK(source->name.front() != '.' && source->name[slash + 1] != '.');
  }
  const auto listing = fastvlm::ParseHubListing(text, "https://hub/model");
  if (!listing.ok()) return 0;
  std::vector<std::string> names;
  for (const fastvlm::HubFile& file : listing->files) {
    FASTVLM_CHECK(file.size >= 0 && !file.digest.hex.empty());
    names.push_back(file.name);
  }
  const auto selected = fastvlm::SelectModelFiles(names, "model");
  if (!selected.ok()) return 0;
  for (const std::string& name : *selected) FASTVLM_CHECK(fastvlm::IsSafeName(name));
  return 0;
}
