// What becomes of an allocation that the system refuses: an exception inside of the library, and
// a Status at its border.
#ifndef FASTVLM_BASE_OUT_OF_MEMORY_H_
#define FASTVLM_BASE_OUT_OF_MEMORY_H_

#include <cstddef>
#include <new>
#include <string_view>
#include <type_traits>

#include "base/status.h"

namespace fastvlm {

// Thrown where a large allocation fails; it knows how large. No public function lets it out.
class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(size_t bytes) : bytes_(bytes) {}
  size_t bytes() const { return bytes_; }
  const char* what() const noexcept override { return "out of memory"; }

 private:
  size_t bytes_;
};

// The words of the message: "<subject>: out of memory: 512 MiB could not be allocated for
// <purpose>; <advice>".
struct MemoryUse {
  std::string_view purpose;
  std::string_view advice;
  std::string_view subject = {};  // a file or a directory
};

// Called while an exception is handled. kResourceExhausted if the exception says that the system
// has no memory or no thread left; any other exception goes on.
Status OutOfMemoryStatus(const MemoryUse& use);

// Whether a kResourceExhausted is one of these, and not another limit that was reached.
bool IsOutOfMemory(const Status& status);

// body(), which returns a Status or a Result, with a lack of memory turned into an error. Every
// public function that allocates runs its work inside of this.
template <typename Body>
std::invoke_result_t<const Body&> CatchOutOfMemory(const MemoryUse& use, const Body& body) {
  try {
    return body();
  } catch (...) {
    return OutOfMemoryStatus(use);
  }
}

}  // namespace fastvlm

#endif  // FASTVLM_BASE_OUT_OF_MEMORY_H_
