// Fetches a model into the cache.
#ifndef FASTVLM_HUB_PULL_H_
#define FASTVLM_HUB_PULL_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "hub/cache.h"
#include "hub/http.h"
#include "hub/source.h"

namespace fastvlm {

inline constexpr const char* kDefaultHubEndpoint = "https://huggingface.co";

struct PullOptions {
  std::string endpoint = kDefaultHubEndpoint;  // of the hub, http or https, without '/' at its end
  std::string token;                           // for the endpoint's host only; "" for none
  std::string sha256;                          // that an archive must have; "" for any
  HttpOptions http;
  // Bytes that may be written below a directory; by default what the system says.
  std::function<Result<int64_t>(const std::string& directory)> free_bytes;
};

struct PullPlan {
  std::string name;
  std::string licence;  // id, "" if unknown
  int files = 0;
  int64_t bytes = 0;          // of all files; -1 if not known yet
  int64_t already_there = 0;  // of them
};

// How a pull reports; any may be empty.
struct PullEvents {
  std::function<void(const PullPlan& plan)> planned;
  // The licence that comes with the model, when this machine has not shown it before. False ends
  // the pull with kCancelled.
  std::function<bool(const std::string& text)> licence;
  // Bytes of the whole pull; `file` is the one under way. total is -1 if unknown.
  std::function<void(const std::string& file, int64_t done, int64_t total)> progress;
  std::function<void(const std::string& text)> note;  // why it waits
};

struct PulledModel {
  std::string name;
  std::string directory;
  int64_t bytes = 0;
  bool was_there = false;  // in this very version: nothing was fetched
};

// Fetches a model into the cache. A lock makes two pulls of one model wait for each other. The
// model appears in the cache, in the place of an older version, when all of it is there and
// checked. What was fetched before an error or the end of the process is used by the next pull.
// `options.http.stop` ends a pull in order. Errors: those of DownloadFile, ParseHubListing,
// SelectModelFiles and ZipReader; kResourceExhausted if the disk is too small, before anything is
// fetched.
Result<PulledModel> PullModel(const ModelSource& source, const ModelCache& cache,
                              const PullOptions& options, const PullEvents& events);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_PULL_H_
