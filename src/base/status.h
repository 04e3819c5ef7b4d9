// Helpers around the public Status and Result.
#ifndef FASTVLM_BASE_STATUS_H_
#define FASTVLM_BASE_STATUS_H_

#include <fmt/format.h>

#include "fastvlm/status.h"

namespace fastvlm {

// Status with a formatted message: Error(StatusCode::kNotFound, "{}: no tensor {}", path, name).
template <typename... Args>
Status Error(StatusCode code, fmt::format_string<Args...> format, Args&&... args) {
  return Status(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace fastvlm

#define FASTVLM_CONCAT_INNER(a, b) a##b
#define FASTVLM_CONCAT(a, b) FASTVLM_CONCAT_INNER(a, b)

// Returns from the enclosing function if `expression`, a Status, is an error.
#define FASTVLM_RETURN_IF_ERROR(expression)          \
  do {                                               \
    ::fastvlm::Status fastvlm_status = (expression); \
    if (!fastvlm_status.ok()) return fastvlm_status; \
  } while (false)

// `declaration` = value of `expression`, a Result; returns its status if it is an error.
#define FASTVLM_ASSIGN_OR_RETURN(declaration, expression) \
  FASTVLM_ASSIGN_OR_RETURN_INNER(FASTVLM_CONCAT(fastvlm_result_, __LINE__), declaration, expression)
#define FASTVLM_ASSIGN_OR_RETURN_INNER(result, declaration, expression) \
  auto result = (expression);                                           \
  if (!result.ok()) return result.status();                             \
  declaration = std::move(result).value()

#endif  // FASTVLM_BASE_STATUS_H_
