#include "hub/file_ops.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <thread>
#include <utility>

namespace fastvlm {
namespace {

constexpr std::chrono::milliseconds kLockPoll{100};

Status SystemError(const std::string& path, const char* action) {
  const int error = errno;
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return Error(StatusCode::kResourceExhausted,
                 "{}: cannot {}: {}; free some space and run this again, it goes on where it "
                 "stopped",
                 path, action, std::strerror(error));
  }
  return Error(StatusCode::kIoError, "{}: cannot {}: {}", path, action, std::strerror(error));
}

Result<int> OpenLock(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return SystemError(path, "open");
  return fd;
}

}  // namespace

Status MakeDirectories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (!error) return {};
  return Error(StatusCode::kIoError, "{}: cannot create the directory: {}", path, error.message());
}

Status RemoveTree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (!error) return {};
  return Error(StatusCode::kIoError, "{}: cannot remove: {}", path, error.message());
}

Status RenamePath(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) return SystemError(to, "write");
  return {};
}

Status ReplaceDirectory(const std::string& from, const std::string& to, const std::string& aside) {
  struct stat info {};
  if (stat(to.c_str(), &info) != 0) return RenamePath(from, to);
  if (renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return {};
  if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP) return SystemError(to, "replace");
  FASTVLM_RETURN_IF_ERROR(RenamePath(to, aside));
  return RenamePath(from, to);
}

Status RestoreDirectory(const std::string& to, const std::string& aside) {
  struct stat info {};
  if (stat(to.c_str(), &info) == 0 || stat(aside.c_str(), &info) != 0) return {};
  return RenamePath(aside, to);
}

int64_t FileSize(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return -1;
  return info.st_size;
}

Result<int64_t> FreeBytes(const std::string& path) {
  struct statvfs info {};
  if (statvfs(path.c_str(), &info) != 0) return SystemError(path, "ask for free space");
  return static_cast<int64_t>(info.f_bavail) * static_cast<int64_t>(info.f_frsize);
}

std::string ByteText(int64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes >= 1'000'000'000) return fmt::format("{:.2f} GB", value / 1e9);
  if (bytes >= 1'000'000) return fmt::format("{:.1f} MB", value / 1e6);
  if (bytes >= 10'000) return fmt::format("{:.1f} kB", value / 1e3);
  return fmt::format("{} bytes", bytes);
}

Result<OutputFile> OutputFile::Open(const std::string& path, int64_t keep) {
  OutputFile file;
  file.path_ = path;
  file.fd_ = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file.fd_ < 0) return SystemError(path, "create");
  if (ftruncate(file.fd_, keep) != 0) return SystemError(path, "write");
  file.size_ = keep;
  return file;
}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  std::swap(size_, other.size_);
  return *this;
}

OutputFile::~OutputFile() {
  if (fd_ >= 0) close(fd_);
}

Status OutputFile::Write(std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError(path_, "write");
    size_ += written;
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status OutputFile::Truncate() {
  if (ftruncate(fd_, 0) != 0) return SystemError(path_, "write");
  size_ = 0;
  return {};
}

Status OutputFile::Sync() {
  if (fsync(fd_) != 0 && errno != EINVAL) return SystemError(path_, "write");
  return {};
}

Result<FileLock> FileLock::Acquire(const std::string& path, const std::function<void()>& waiting,
                                   const std::function<bool()>& stop) {
  FASTVLM_ASSIGN_OR_RETURN(const int fd, OpenLock(path));
  FileLock lock(fd);
  bool told = false;
  while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return SystemError(path, "lock");
    if (!std::exchange(told, true) && waiting) waiting();
    if (stop && stop()) return Status(StatusCode::kCancelled, "stopped while waiting");
    std::this_thread::sleep_for(kLockPoll);
  }
  return lock;
}

Result<FileLock> FileLock::TryAcquire(const std::string& path) {
  FASTVLM_ASSIGN_OR_RETURN(const int fd, OpenLock(path));
  FileLock lock(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return SystemError(path, "lock");
  return Error(StatusCode::kResourceExhausted,
               "{}: another fastvlm is at work on this model; try again when it has ended", path);
}

FileLock::~FileLock() {
  if (fd_ >= 0) close(fd_);
}

}  // namespace fastvlm
