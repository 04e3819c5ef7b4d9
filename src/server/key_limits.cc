#include "server/key_limits.h"

#include <algorithm>
#include <cmath>

namespace fastvlm {
namespace {

constexpr int kWaitForRequest = 1;  // seconds; nobody knows when an answer ends
constexpr double kMinute = 60;

}  // namespace

void KeyLimits::Fill(Account& account, Clock::time_point now) const {
  const double seconds = std::chrono::duration<double>(now - account.filled).count();
  const auto most = static_cast<double>(limit_.tokens_per_minute);
  account.tokens = std::min(most, account.tokens + seconds / kMinute * most);
  account.filled = now;
}

int KeyLimits::Begin(uint64_t key, Clock::time_point now) {
  if (key == 0 || key > accounts_.size()) return 0;
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[key - 1];
  if (limit_.requests > 0 && account.requests >= limit_.requests) return kWaitForRequest;
  if (limit_.tokens_per_minute > 0) {
    Fill(account, now);
    if (account.tokens < 1) {
      const double per_second = static_cast<double>(limit_.tokens_per_minute) / kMinute;
      return std::max(1, static_cast<int>(std::ceil((1 - account.tokens) / per_second)));
    }
  }
  ++account.requests;
  return 0;
}

void KeyLimits::End(uint64_t key, int64_t tokens, Clock::time_point now) {
  if (key == 0 || key > accounts_.size()) return;
  const std::lock_guard lock(mutex_);
  Account& account = accounts_[key - 1];
  --account.requests;
  if (limit_.tokens_per_minute == 0) return;
  Fill(account, now);
  account.tokens -= static_cast<double>(tokens);
}

}  // namespace fastvlm
