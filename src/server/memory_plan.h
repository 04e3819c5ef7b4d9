// How a server keeps within a given memory: everything that may hold much has a share of it.
#ifndef FASTVLM_SERVER_MEMORY_PLAN_H_
#define FASTVLM_SERVER_MEMORY_PLAN_H_

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/status.h"

namespace fastvlm {

struct MemoryPlan {
  int64_t engine_bytes = 0;   // EngineOptions::memory_bytes
  int64_t request_bytes = 0;  // ServerOptions::max_request_bytes
  int64_t decode_bytes = 0;   // ImageOptions::max_decode_bytes, of which two may be taken at once
};

// Shares out `limit` bytes, of which the model takes `model_bytes`. kInvalidArgument, which says
// how much is needed at least, if too little is left.
Result<MemoryPlan> PlanMemory(int64_t limit, int64_t model_bytes);

// "2G", "1536M" or "1.5g" in bytes: units of 1024, with "K" and "T" as well.
std::optional<int64_t> ParseMemory(std::string_view text);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_MEMORY_PLAN_H_
