#include "fastvlm/status.h"

#include <cstdio>
#include <cstdlib>

namespace fastvlm::internal {

void AbortOnValueOfError(const Status& status) {
  std::fprintf(stderr, "the value of a Result was taken, but it is an error: %s\n",
               status.message().c_str());
  std::abort();
}

void AbortOnResultOfOk() {
  std::fputs("a Result was made of a Status that is ok: expected a value or an error\n", stderr);
  std::abort();
}

}  // namespace fastvlm::internal
