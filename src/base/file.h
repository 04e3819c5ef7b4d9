// Files: whole reads with a size limit, read-only maps, atomic writes.
#ifndef FASTVLM_BASE_FILE_H_
#define FASTVLM_BASE_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace fastvlm {

// Contents of a regular file. kResourceExhausted above max_bytes, kNotFound / kIoError otherwise.
Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes);
Result<std::vector<uint8_t>> ReadBinaryFile(const std::string& path, size_t max_bytes);

// Standard input to its end, with the same limit.
Result<std::vector<uint8_t>> ReadStandardInput(size_t max_bytes);

// Writes to a temporary name beside `path`, then renames: `path` is either old or complete.
Status WriteFileAtomically(const std::string& path,
                           std::span<const std::span<const uint8_t>> parts);

// A large file that is written piece by piece beside `path`, as <path>.part, and takes its name at
// the end: `path` is either old or complete. Move-only; whatever is not committed is removed, and
// what a killed program left behind is written over. Signals are not held back.
class FileReplacement {
 public:
  // Reserves `bytes` on the disk where the file system can, so that a full disk is found out at
  // once. kIoError also while another program writes the same file.
  static Result<FileReplacement> Create(const std::string& path, int64_t bytes);
  FileReplacement() = default;
  FileReplacement(FileReplacement&& other) noexcept { *this = std::move(other); }
  FileReplacement& operator=(FileReplacement&& other) noexcept;
  ~FileReplacement();

  Status Write(std::span<const uint8_t> bytes);
  Status Sync();  // what was written is on the disk
  Status Commit();

 private:
  std::string path_;
  int fd_ = -1;
};

bool FileExists(const std::string& path);  // a regular file or a link to one
bool DirectoryExists(const std::string& path);

// Gives the memory of mapped file contents back to the system; reading them again is possible and
// costs a page fault. Keeps the peak low while weights are packed.
void ReleaseMappedPages(const void* data, size_t bytes);

// A whole regular file mapped read-only. Move-only; the mapping lives as long as the object.
class MappedFile {
 public:
  static Result<MappedFile> Open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data_, size_}; }

 private:
  const uint8_t* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_FILE_H_
