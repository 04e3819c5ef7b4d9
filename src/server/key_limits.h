// What each API key may use of the server, so that one client cannot keep it from the others.
#ifndef FASTVLM_SERVER_KEY_LIMITS_H_
#define FASTVLM_SERVER_KEY_LIMITS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace fastvlm {

struct KeyLimit {
  int requests = 0;               // at once; 0: no limit
  int64_t tokens_per_minute = 0;  // of prompts and answers together; 0: no limit
};

// Thread-safe. A key's tokens are an account that fills up steadily, to the tokens of one minute at
// most. A request is let in while something is left, and pays when it ends: the account can fall
// below zero then, and the next request waits until it is filled again.
class KeyLimits {
 public:
  using Clock = std::chrono::steady_clock;

  KeyLimits(const KeyLimit& limit, size_t keys, Clock::time_point now = Clock::now())
      : limit_(limit),
        accounts_(keys, Account{0, static_cast<double>(limit.tokens_per_minute), now}) {}

  // Keys count from 1; 0 stands for a client without one, who is not limited. Returns 0 if the
  // request may begin, and has to be followed by End; else after how many seconds to try again.
  int Begin(uint64_t key, Clock::time_point now = Clock::now());
  void End(uint64_t key, int64_t tokens, Clock::time_point now = Clock::now());

 private:
  struct Account {
    int requests;
    double tokens;  // that are left
    Clock::time_point filled;
  };
  void Fill(Account& account, Clock::time_point now) const;

  const KeyLimit limit_;
  std::mutex mutex_;
  std::vector<Account> accounts_;  // one for each key
};

// One request of a key, from its beginning to its end.
class KeyShare {
 public:
  KeyShare(KeyLimits& limits, uint64_t key)
      : limits_(limits), key_(key), wait_s_(limits.Begin(key)) {}
  ~KeyShare() {
    if (wait_s_ == 0) limits_.End(key_, tokens_);
  }
  KeyShare(const KeyShare&) = delete;
  KeyShare& operator=(const KeyShare&) = delete;

  // 0: the request may begin.
  int wait_s() const { return wait_s_; }
  void Spend(int64_t tokens) { tokens_ += tokens; }

 private:
  KeyLimits& limits_;
  const uint64_t key_;
  const int wait_s_;
  int64_t tokens_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_KEY_LIMITS_H_
