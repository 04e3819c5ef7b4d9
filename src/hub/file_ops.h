// What downloads need of the file system: growing files, locks, free space.
#ifndef FASTVLM_HUB_FILE_OPS_H_
#define FASTVLM_HUB_FILE_OPS_H_

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/status.h"

namespace fastvlm {

// Creates the directory and what is missing above it.
Status MakeDirectories(const std::string& path);
Status RemoveTree(const std::string& path);  // nothing there is no error
Status RenamePath(const std::string& from, const std::string& to);
// Puts the directory `from` in the place of `to`. At every moment one of the two is there, whatever
// ends the program: the system exchanges them where the file system can do so. Elsewhere `to` is
// moved to `aside` first, which must not exist, and RestoreDirectory moves it back if that was all
// that happened. What `to` was before is at `from` or `aside` afterwards, to be removed.
Status ReplaceDirectory(const std::string& from, const std::string& to, const std::string& aside);
Status RestoreDirectory(const std::string& to, const std::string& aside);

int64_t FileSize(const std::string& path);  // -1 if there is no regular file

// Bytes this process may still write to the file system `path` is on.
Result<int64_t> FreeBytes(const std::string& path);

// "1.52 GB", "12.6 MB", "467 bytes"
std::string ByteText(int64_t bytes);

// A file that grows at its end. Move-only; closes itself.
class OutputFile {
 public:
  // Opens or creates it and cuts it to `keep` bytes, which it must have.
  static Result<OutputFile> Open(const std::string& path, int64_t keep);
  OutputFile(OutputFile&& other) noexcept { *this = std::move(other); }
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();

  int64_t size() const { return size_; }
  Status Write(std::span<const uint8_t> bytes);  // a full disk is kResourceExhausted
  Status Truncate();                             // to nothing
  Status Sync();                                 // to the disk

 private:
  OutputFile() = default;
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;
};

// An exclusive lock between processes; the system releases it when its holder ends in any way.
class FileLock {
 public:
  // Waits for another holder, `waiting` being called once when that is so. kCancelled if `stop`
  // says so meanwhile.
  static Result<FileLock> Acquire(const std::string& path, const std::function<void()>& waiting,
                                  const std::function<bool()>& stop);
  // kResourceExhausted if another process holds it.
  static Result<FileLock> TryAcquire(const std::string& path);
  FileLock(FileLock&& other) noexcept { std::swap(fd_, other.fd_); }
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

}  // namespace fastvlm

#endif  // FASTVLM_HUB_FILE_OPS_H_
