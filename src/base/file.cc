#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace fastvlm {
namespace {

Status SystemError(const std::string& path, const char* action) {
  const int error = errno;
  const StatusCode code =
      error == ENOENT || error == ENOTDIR ? StatusCode::kNotFound : StatusCode::kIoError;
  return Error(code, "{}: cannot {}: {}", path, action, std::strerror(error));
}

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

// Holds back the signals that end a program, so that no temporary file is left behind.
class SignalGuard {
 public:
  SignalGuard() {
    sigset_t ending;
    sigemptyset(&ending);
    for (int signal : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&ending, signal);
    pthread_sigmask(SIG_BLOCK, &ending, &before_);
  }
  ~SignalGuard() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalGuard(const SignalGuard&) = delete;
  SignalGuard& operator=(const SignalGuard&) = delete;

 private:
  sigset_t before_;
};

const char* KindName(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a pipe";
  if (S_ISSOCK(mode)) return "a socket";
  return "a device";
}

// Opens for reading, and gives the size of a regular file, 0 for anything else. Opening a pipe
// would wait for somebody who writes into it, unless it is told not to.
Result<int> OpenToRead(const std::string& path, FileKind kind, size_t* size) {
  const int no_wait = kind == FileKind::kRegular ? O_NONBLOCK : 0;
  FileDescriptor fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | no_wait));
  if (fd.get() < 0) return SystemError(path, "open");
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return SystemError(path, "read");
  const bool regular = S_ISREG(info.st_mode);
  if (S_ISDIR(info.st_mode) || (!regular && kind == FileKind::kRegular)) {
    return Error(StatusCode::kIoError, "{}: is {}, expected a file", path, KindName(info.st_mode));
  }
  *size = regular ? static_cast<size_t>(info.st_size) : 0;
  return fd.Release();
}

template <typename Container>
Status ReadToEnd(int fd, const std::string& path, size_t size_hint, size_t max_bytes,
                 Container* contents) {
  if (size_hint > max_bytes) {
    return Error(StatusCode::kResourceExhausted, "{}: {} bytes, more than the limit of {}", path,
                 size_hint, max_bytes);
  }
  size_t used = 0;
  contents->resize(size_hint + 1);
  while (true) {
    if (used == contents->size()) contents->resize(contents->size() * 2 + 65536);
    const ssize_t got = read(fd, contents->data() + used, contents->size() - used);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return SystemError(path, "read");
    if (got == 0) break;
    used += static_cast<size_t>(got);
    if (used > max_bytes) {
      return Error(StatusCode::kResourceExhausted, "{}: more than the limit of {} bytes", path,
                   max_bytes);
    }
  }
  contents->resize(used);
  return {};
}

template <typename Container>
Result<Container> ReadFile(const std::string& path, size_t max_bytes, FileKind kind) {
  size_t size = 0;
  FASTVLM_ASSIGN_OR_RETURN(const int opened, OpenToRead(path, kind, &size));
  const FileDescriptor fd(opened);
  Container contents;
  FASTVLM_RETURN_IF_ERROR(ReadToEnd(fd.get(), path, size, max_bytes, &contents));
  return contents;
}

Status WriteAll(int fd, const std::string& path, std::span<const uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError(path, "write");
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return {};
}

Status WriteAndRename(int fd, const std::string& temporary, const std::string& path,
                      std::span<const std::span<const uint8_t>> parts) {
  for (const auto& part : parts) FASTVLM_RETURN_IF_ERROR(WriteAll(fd, path, part));
  if (fsync(fd) != 0 && errno != EINVAL) return SystemError(path, "write");
  if (rename(temporary.c_str(), path.c_str()) != 0) return SystemError(path, "write");
  return {};
}

}  // namespace

Result<std::string> ReadTextFile(const std::string& path, size_t max_bytes, FileKind kind) {
  return ReadFile<std::string>(path, max_bytes, kind);
}

Result<std::vector<uint8_t>> ReadBinaryFile(const std::string& path, size_t max_bytes,
                                            FileKind kind) {
  return ReadFile<std::vector<uint8_t>>(path, max_bytes, kind);
}

Result<std::vector<uint8_t>> ReadStandardInput(size_t max_bytes) {
  std::vector<uint8_t> contents;
  FASTVLM_RETURN_IF_ERROR(ReadToEnd(STDIN_FILENO, "standard input", 0, max_bytes, &contents));
  return contents;
}

Status WriteFileAtomically(const std::string& path,
                           std::span<const std::span<const uint8_t>> parts) {
  // A device such as /dev/stdout or /dev/full is written in place: it cannot be renamed over.
  struct stat info {};
  if (stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    if (S_ISDIR(info.st_mode)) {
      return Error(StatusCode::kIoError, "{}: is a directory, expected a file name", path);
    }
    FileDescriptor fd(open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (fd.get() < 0) return SystemError(path, "open");
    for (const auto& part : parts) FASTVLM_RETURN_IF_ERROR(WriteAll(fd.get(), path, part));
    return {};
  }
  const SignalGuard guard;
  std::string temporary = path + ".XXXXXX.tmp";
  FileDescriptor fd(mkstemps(temporary.data(), 4));
  if (fd.get() < 0) return SystemError(path, "create");
  fchmod(fd.get(), 0644);
  Status status = WriteAndRename(fd.get(), temporary, path, parts);
  if (!status.ok()) unlink(temporary.c_str());
  return status;
}

Result<FileReplacement> FileReplacement::Create(const std::string& path, int64_t bytes) {
  if (DirectoryExists(path)) {
    return Error(StatusCode::kIoError, "{}: is a directory, expected a file name", path);
  }
  FileReplacement file;
  file.path_ = path + ".part";
  FileDescriptor fd(open(file.path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (fd.get() < 0) return SystemError(file.path_, "create");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error(StatusCode::kIoError, "{}: another program is writing this file", file.path_);
  }
  file.fd_ = fd.Release();  // from here on the file is removed if anything fails
  if (ftruncate(file.fd_, 0) != 0) return SystemError(file.path_, "write");
  // Other errors mean that the file system cannot reserve; writing will show whether it has room.
  if (bytes > 0 && fallocate(file.fd_, 0, 0, bytes) != 0 && (errno == ENOSPC || errno == EFBIG)) {
    return Error(StatusCode::kIoError, "{}: cannot write {:.1f} MB: {}", path,
                 static_cast<double>(bytes) / 1e6, std::strerror(errno));
  }
  return file;
}

FileReplacement& FileReplacement::operator=(FileReplacement&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(fd_, other.fd_);
  return *this;
}

FileReplacement::~FileReplacement() {
  if (fd_ < 0) return;
  unlink(path_.c_str());
  close(fd_);
}

Status FileReplacement::Write(std::span<const uint8_t> bytes) {
  return WriteAll(fd_, path_, bytes);
}

Status FileReplacement::Sync() {
  if (fsync(fd_) != 0 && errno != EINVAL) return SystemError(path_, "write");
  return {};
}

Status FileReplacement::Commit() {
  FASTVLM_RETURN_IF_ERROR(Sync());
  const std::string path = path_.substr(0, path_.size() - std::string_view(".part").size());
  if (rename(path_.c_str(), path.c_str()) != 0) return SystemError(path, "write");
  close(std::exchange(fd_, -1));
  return {};
}

Status FinishReplacement(const std::string& path) {
  const std::string part = path + ".part";
  const FileDescriptor fd(open(part.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return SystemError(part, "open");
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return {};
  if (rename(part.c_str(), path.c_str()) != 0) return SystemError(path, "write");
  return {};
}

bool FileExists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode);
}

bool PathExists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

bool DirectoryExists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<std::vector<std::string>> ListDirectory(const std::string& path) {
  const auto close = [](DIR* directory) { closedir(directory); };
  const std::unique_ptr<DIR, decltype(close)> directory(opendir(path.c_str()), close);
  if (directory == nullptr) return SystemError(path, "list");
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = readdir(directory.get());
    if (entry == nullptr && errno != 0) return SystemError(path, "list");
    if (entry == nullptr) return names;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

void ReleaseMappedPages(const void* data, size_t bytes) {
  const uintptr_t page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(data) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(data) + bytes) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

Result<MappedFile> MappedFile::Open(const std::string& path) {
  size_t size = 0;
  FASTVLM_ASSIGN_OR_RETURN(const int opened, OpenToRead(path, FileKind::kRegular, &size));
  const FileDescriptor fd(opened);
  MappedFile file;
  if (size == 0) return file;
  void* data = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (data == MAP_FAILED && errno == ENOMEM) {
    return Error(StatusCode::kResourceExhausted,
                 "{}: out of memory: its {} bytes cannot be mapped; raise the limit of this "
                 "process's address space (ulimit -v)",
                 path, size);
  }
  if (data == MAP_FAILED) return SystemError(path, "map");
  file.data_ = static_cast<const uint8_t*>(data);
  file.size_ = size;
  return file;
}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), size_);
}

}  // namespace fastvlm
