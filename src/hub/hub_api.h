// What the Hugging Face hub says about a model: its files, their sizes and checksums.
#ifndef FASTVLM_HUB_HUB_API_H_
#define FASTVLM_HUB_HUB_API_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "hub/digest.h"
#include "hub/source.h"

namespace fastvlm {

struct HubFile {
  std::string name;  // as the hub says it: a path, not trusted
  int64_t size = 0;  // bytes
  ExpectedDigest digest;
};

struct HubListing {
  std::string commit;   // 40 hexadecimal digits
  std::string licence;  // the hub's id of it, such as "apple-amlr"; "" if it says none
  std::vector<HubFile> files;
};

// GET {endpoint}/api/models/{repository}/revision/{revision}?blobs=true
std::string ListingUrl(const std::string& endpoint, const ModelSource& source);
// GET {endpoint}/{repository}/resolve/{commit}/{file}
std::string FileUrl(const std::string& endpoint, const ModelSource& source,
                    const std::string& commit, const std::string& file);

// The answer to the first. `url` is for messages. kDataError: not what the hub answers.
Result<HubListing> ParseHubListing(std::string_view text, const std::string& url);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_HUB_API_H_
