// Reads zip archives from the network, which may be hostile.
#ifndef FASTVLM_HUB_ZIP_H_
#define FASTVLM_HUB_ZIP_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"

struct zip;

namespace fastvlm {

struct ZipEntry {
  std::string name;  // a file's path, as the archive says it; relative and without ".."
  int64_t size = 0;  // bytes, unpacked
  uint64_t index = 0;
};

// The model in an archive. All its files are in one folder.
struct ZipModel {
  std::string folder;              // "" or ends with '/'
  std::vector<ZipEntry> files;     // that SelectModelFiles chose, weights last
  std::vector<std::string> names;  // of `files` without the folder; safe
  int64_t bytes = 0;               // of all, unpacked
};

using ZipDataFn = std::function<Status(std::span<const uint8_t> bytes)>;

// Not thread-safe.
class ZipReader {
 public:
  // Errors: kIoError, kNotFound; kDataError for what is no zip, is cut off, or has a name that
  // leads out of a directory; kResourceExhausted for an archive that unpacks to far more than it
  // can hold in earnest; kUnsupported for encryption and unknown compression.
  static Result<ZipReader> Open(const std::string& path);
  // `bytes` must outlive the reader.
  static Result<ZipReader> FromMemory(std::span<const uint8_t> bytes, const std::string& name);
  ZipReader(ZipReader&&) noexcept;
  ~ZipReader();

  const std::vector<ZipEntry>& entries() const { return entries_; }  // files, no directories

  // kUnsupported if the archive holds no model, or more than one.
  Result<ZipModel> FindModel() const;

  // Unpacks one file piece by piece. kDataError if its size or checksum is not the stated one.
  Status Read(const ZipEntry& entry, const ZipDataFn& data) const;

 private:
  struct Close {
    void operator()(::zip* archive) const;
  };
  ZipReader() = default;
  static Result<ZipReader> Create(void* source, const std::string& name);
  Status ReadDirectory();

  std::string path_;
  std::unique_ptr<::zip, Close> archive_;
  std::vector<ZipEntry> entries_;
};

}  // namespace fastvlm

#endif  // FASTVLM_HUB_ZIP_H_
