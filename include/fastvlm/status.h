// Errors a user, a file or a machine can cause. The library never throws, prints or exits on its
// own account; what a caller's callback throws passes through the function that called it.
#ifndef FASTVLM_STATUS_H_
#define FASTVLM_STATUS_H_

#include <optional>
#include <string>
#include <utility>

namespace fastvlm {

enum class StatusCode {
  kOk,
  kInvalidArgument,    // the caller asked for something that cannot be
  kNotFound,           // a file, tensor or field that must exist does not
  kDataError,          // a file exists but its contents are wrong, truncated or hostile
  kResourceExhausted,  // a stated limit (pixels, context, memory) was exceeded
  kUnsupported,        // well formed, but of a kind this build cannot read
  kIoError,            // the operating system refused
  kCancelled,          // the caller's callback asked to stop, or threw
  kTimedOut,           // the time that the caller set was not enough
};

// Outcome of an operation that can fail. The message names the path or tensor,
// what was expected and found, and what to do.
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

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}          // NOLINT: implicit by design
  Result(Status status) : status_(std::move(status)) {}  // NOLINT: implicit by design

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Require ok().
  T& value() & { return *value_; }
  const T& value() const& { return *value_; }
  T&& value() && { return *std::move(value_); }
  T& operator*() & { return *value_; }
  const T& operator*() const& { return *value_; }
  T&& operator*() && { return *std::move(value_); }
  T* operator->() { return &*value_; }
  const T* operator->() const { return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace fastvlm

#endif  // FASTVLM_STATUS_H_
