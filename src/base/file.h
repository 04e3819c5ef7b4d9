// Reading whole files within a limit, mapping files for reading, and replacing files so that no
// half of one is ever seen.
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

// What may be read: files only, or pipes and devices as well, to their end. A pipe that nobody
// writes into is waited for, so that kAny is for what a user names as input and not for the files
// of a model.
enum class FileKind { kRegular, kAny };

// The contents of a file. kResourceExhausted if it has more than max_bytes; kNotFound or kIoError
// if it cannot be read or is of another kind.
Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes,
                                 FileKind kind = FileKind::kRegular);
Result<std::vector<uint8_t>> ReadBinaryFile(const std::string& path, size_t max_bytes,
                                            FileKind kind = FileKind::kRegular);

// Standard input to its end, with the same limit.
Result<std::vector<uint8_t>> ReadStandardInput(size_t max_bytes);

// Writes under a temporary name beside `path` and renames the file at the end, so that `path` holds
// either what it held before or all of what is written.
Status WriteFileAtomically(const std::string& path,
                           std::span<const std::span<const uint8_t>> parts);

// A large file that is written step by step beside `path`, as <path>.part, and takes its name at
// the end, so that `path` holds either what it held before or all of what is written. What is not
// committed is removed. A program that is killed leaves its <path>.part behind, since signals are
// not held back; the next one writes over it. Move-only.
class FileReplacement {
 public:
  // Reserves `bytes` on the disk, where the file system can do so: a disk without room for them is
  // an error at once. So is another program that writes the same file (kIoError).
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

// Commits <path>.part, which is known to be complete and which a killed program has left, unless
// another program is writing it.
Status FinishReplacement(const std::string& path);

bool FileExists(const std::string& path);  // a regular file or a link to one
bool DirectoryExists(const std::string& path);
bool PathExists(const std::string& path);  // anything, a pipe or a device as well

// The names in a directory, in no order, without "." and "..". std::filesystem's iterator would end
// the program where memory is short. kNotFound or kIoError if the directory cannot be read.
Result<std::vector<std::string>> ListDirectory(const std::string& path);

// Gives the memory of mapped file contents back to the system. They can still be read, at the cost
// of a page fault. This keeps the peak of memory low while weights are packed.
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
