// A file from the network: checked, and resumed where an earlier attempt stopped.
#ifndef FASTVLM_HUB_DOWNLOAD_H_
#define FASTVLM_HUB_DOWNLOAD_H_

#include <cstdint>
#include <functional>
#include <string>

#include "base/status.h"
#include "hub/digest.h"
#include "hub/http.h"

namespace fastvlm {

struct Download {
  std::string url;
  std::string token;  // for the host of `url` only
  std::string path;   // complete or absent; PATH.part and PATH.part.json while under way
  int64_t size = -1;  // bytes, -1 if unknown
  ExpectedDigest digest;
};

// `done` of `total` bytes of the file, resumed ones included; total is -1 if unknown.
using DownloadProgressFn = std::function<void(int64_t done, int64_t total)>;
// Asked once when a server has told the size of a file of unknown size; an error ends it.
using DownloadSizeFn = std::function<Status(int64_t bytes)>;

// Fetches the file unless it is there. What an earlier call left in PATH.part is kept if it belongs
// to the same contents: by digest, or by the server's ETag or Last-Modified. Dropped connections
// are resumed. Errors: those of the network (kIoError, kNotFound), kDataError for another size or
// digest than expected (then nothing is kept), kResourceExhausted for a full disk, kCancelled.
Status DownloadFile(const Download& download, const HttpOptions& options,
                    const DownloadProgressFn& progress, const DownloadSizeFn& size_known = {});

// Bytes of an earlier attempt that DownloadFile would try to keep, or of the complete file.
int64_t DownloadedBytes(const Download& download);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_DOWNLOAD_H_
