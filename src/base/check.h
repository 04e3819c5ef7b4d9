// FASTVLM_CHECK aborts on our own bugs, with a message on standard error. What a file, a flag, the
// network or a lack of memory causes is never one of these; it becomes a Status.
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
