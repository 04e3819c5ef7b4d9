// FASTVLM_CHECK aborts on our own bugs. Never reachable from a file, a flag or the network:
// those return a Status.
#ifndef FASTVLM_BASE_CHECK_H_
#define FASTVLM_BASE_CHECK_H_

namespace fastvlm {

[[noreturn]] void CheckFailed(const char* file, int line, const char* condition);

}  // namespace fastvlm

#define FASTVLM_CHECK(condition)                                              \
  do {                                                                        \
    if (!(condition)) ::fastvlm::CheckFailed(__FILE__, __LINE__, #condition); \
  } while (false)

#endif  // FASTVLM_BASE_CHECK_H_
