#include "server/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace fastvlm {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// The program itself: its code and libraries, the stacks and buffers of its connections.
constexpr int64_t kProgramBytes = 96 * kMiB;
constexpr int64_t kLeastLeft = 192 * kMiB;  // for one request with a picture
constexpr int64_t kMaxRequestBytes = int64_t{2} << 30;
constexpr int64_t kMaxDecodeBytes = 480'000'000;

}  // namespace

Result<MemoryPlan> PlanMemory(int64_t limit, int64_t model_bytes) {
  const int64_t fixed = model_bytes + kProgramBytes;
  const int64_t left = limit - fixed;
  if (left < kLeastLeft) {
    return Error(StatusCode::kInvalidArgument,
                 "--memory: {} MiB are too little; this model needs {} MiB, and requests need {} "
                 "MiB at least: give {}M or more",
                 limit / kMiB, fixed / kMiB + 1, kLeastLeft / kMiB,
                 (fixed + kLeastLeft) / kMiB + 1);
  }
  // Half for keys, values and caches; a quarter each for bodies with their pictures, and for two
  // pictures that are decoded.
  MemoryPlan plan;
  plan.request_bytes = std::min(left / 4, kMaxRequestBytes);
  plan.decode_bytes = std::min(left / 8, kMaxDecodeBytes);
  plan.engine_bytes = left - plan.request_bytes - 2 * plan.decode_bytes;
  return plan;
}

std::optional<int64_t> ParseMemory(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() - 1) return std::nullopt;
  constexpr std::string_view kUnits = "KMGTkmgt";
  const size_t unit = kUnits.find(*end);
  if (unit == std::string_view::npos) return std::nullopt;
  const double bytes = std::ldexp(number, 10 * (static_cast<int>(unit % 4) + 1));
  constexpr double kMost = 1e15;
  if (!(bytes >= 1 && bytes <= kMost)) return std::nullopt;
  return static_cast<int64_t>(bytes);
}

}  // namespace fastvlm
