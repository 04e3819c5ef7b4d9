#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace fastvlm {

void CheckFailed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: this is a bug in fastvlm: check failed: %s\n", file, line,
               condition);
  std::abort();
}

}  // namespace fastvlm
