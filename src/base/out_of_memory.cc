#include "base/out_of_memory.h"

#include <stdexcept>
#include <string>
#include <system_error>

namespace fastvlm {
namespace {

constexpr std::string_view kOutOfMemory = "out of memory";

std::string SizeText(size_t bytes) {
  constexpr size_t kMiB = size_t{1} << 20;
  if (bytes < kMiB) return fmt::format("{} bytes", bytes);
  return fmt::format("{} MiB", (bytes + kMiB - 1) / kMiB);
}

// A message needs memory as well. Without any it is a text that std::string holds in itself.
Status Exhausted(const MemoryUse& use, size_t bytes) {
  try {
    return Error(StatusCode::kResourceExhausted, "{}{}{}: {} could not be allocated for {}; {}",
                 use.subject, use.subject.empty() ? "" : ": ", kOutOfMemory,
                 bytes == 0 ? "what was needed" : SizeText(bytes), use.purpose, use.advice);
  } catch (const std::bad_alloc&) {
    return Status(StatusCode::kResourceExhausted, std::string(kOutOfMemory));
  }
}

}  // namespace

bool IsOutOfMemory(const Status& status) {
  return status.code() == StatusCode::kResourceExhausted &&
         status.message().find(kOutOfMemory) != std::string::npos;
}

Status OutOfMemoryStatus(const MemoryUse& use) {
  try {
    throw;
  } catch (const OutOfMemory& error) {
    return Exhausted(use, error.bytes());
  } catch (const std::bad_alloc&) {
    return Exhausted(use, 0);
  } catch (const std::length_error&) {  // more than a container can ever hold
    return Exhausted(use, 0);
  } catch (const std::system_error& error) {
    if (error.code() != std::errc::resource_unavailable_try_again) throw;
    try {
      return Error(StatusCode::kResourceExhausted, "the system refuses another thread; use fewer");
    } catch (const std::bad_alloc&) {
      return Status(StatusCode::kResourceExhausted, std::string(kOutOfMemory));
    }
  }
}

}  // namespace fastvlm
