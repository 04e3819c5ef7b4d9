// A library for LD_PRELOAD that ends the program just before one of its renames, as a power cut
// or `kill -9` would: KILL_AT_RENAME=N for the N-th. With NO_EXCHANGE
// set, directories cannot be exchanged, as on file systems that lack it.
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>

namespace {

void Count() {
  static std::atomic<int> renames = 0;
  const char* limit = getenv("KILL_AT_RENAME");
  if (limit != nullptr && ++renames == atoi(limit)) kill(getpid(), SIGKILL);
}

}  // namespace

extern "C" {

// The names of these functions are the system's.
int rename(const char* from, const char* to) {
  static const auto real = reinterpret_cast<int (*)(const char*, const char*)>(  //
      dlsym(RTLD_NEXT, "rename"));
  Count();
  return real(from, to);
}

int renameat2(int from_fd, const char* from, int to_fd, const char* to, unsigned flags) {
  static const auto real = reinterpret_cast<int (*)(int, const char*, int, const char*, unsigned)>(
      dlsym(RTLD_NEXT, "renameat2"));
  if (flags != 0 && getenv("NO_EXCHANGE") != nullptr) {
    errno = EINVAL;
    return -1;
  }
  Count();
  return real(from_fd, from, to_fd, to, flags);
}
}
