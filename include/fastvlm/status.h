// Errors that a user, a file or a machine can cause. The library returns them: it never throws,
// prints or exits because of them. What a caller's callback throws passes through the function that
// called it. Only a mistake in the program itself, such as taking the value of a Result that has
// none, ends the process.
#ifndef FASTVLM_STATUS_H_
#define FASTVLM_STATUS_H_

#include <optional>
#include <string>
#include <utility>

#include "fastvlm/export.h"

namespace fastvlm {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // the caller asked for something that cannot be
  kNotFound,           // a file, tensor or field that must exist does not
  kDataError,          // a file exists but its contents are wrong, truncated or hostile
  kResourceExhausted,  // a limit (pixels, context, memory) is not enough for what was asked
  kUnsupported,        // well formed, but of a kind this build cannot read
  kIoError,            // the operating system refused
  kCancelled,          // the caller's callback asked to stop, or threw
  kTimedOut,           // the time that the caller set was not enough
};

// The outcome of an operation that can fail. The message names the file, tensor or field of the
// options, what was expected and what was found, and where possible what to do.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(StatusCode code, std::string message) : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

namespace internal {
// Print what the mistake is to standard error, with the status' message, and abort.
[[noreturn]] FASTVLM_EXPORT void AbortOnValueOfError(const Status& status);
[[noreturn]] FASTVLM_EXPORT void AbortOnResultOfOk();
}  // namespace internal

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
  // status: an error. One that is ok would leave neither a value nor a reason: it aborts.
  Result(Status status) : status_(std::move(status)) {  // NOLINT: implicit by design
    if (status_.ok()) internal::AbortOnResultOfOk();
  }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Require ok(): each aborts, in every build, if there is no value.
  T& value() & { return Checked(*this); }
  const T& value() const& { return Checked(*this); }
  T&& value() && { return std::move(Checked(*this)); }
  T& operator*() & { return Checked(*this); }
  const T& operator*() const& { return Checked(*this); }
  T&& operator*() && { return std::move(Checked(*this)); }
  T* operator->() { return &Checked(*this); }
  const T* operator->() const { return &Checked(*this); }

 private:
  template <typename Self>
  static auto& Checked(Self& self) {
    if (!self.value_) internal::AbortOnValueOfError(self.status_);
    return *self.value_;
  }

  std::optional<T> value_;
  Status status_;
};

}  // namespace fastvlm

#endif  // FASTVLM_STATUS_H_
