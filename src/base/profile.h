// Where the time of a forward pass goes.
#ifndef FASTVLM_BASE_PROFILE_H_
#define FASTVLM_BASE_PROFILE_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fastvlm {

// What an operation did. A multiply-add counts as two operations. The bytes are those of the
// operands and of the result, each counted once, whether a cache of the CPU holds them or not.
struct Work {
  double f32_operations = 0;
  double int8_operations = 0;
  double bytes = 0;
  double bf16_operations = 0;  // of the CPU's own bf16 products; widened bf16 counts as f32
  double f16_operations = 0;   // of multiply-adds in f16
};

struct ProfileEntry {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
  Work work;
};

// Adds up what operations did, by their names. Not thread-safe: an operation records itself on the
// thread that calls it, not on the workers of its pool.
class Profile {
 public:
  // The index of the operation's entry, which is made if it is not there.
  size_t Find(std::string_view name) {
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (entries_[i].name == name) return i;
    }
    entries_.push_back({std::string(name), 0, 0, {}});
    return entries_.size() - 1;
  }
  void Add(size_t index, double seconds, const Work& work) {
    ProfileEntry& entry = entries_[index];
    ++entry.calls;
    entry.seconds += seconds;
    entry.work.f32_operations += work.f32_operations;
    entry.work.int8_operations += work.int8_operations;
    entry.work.bf16_operations += work.bf16_operations;
    entry.work.f16_operations += work.f16_operations;
    entry.work.bytes += work.bytes;
  }
  const std::vector<ProfileEntry>& entries() const { return entries_; }

 private:
  std::vector<ProfileEntry> entries_;
};

// Records its own lifetime, if there is a profile. The entry is made at the beginning: the end may
// be that of an exception, where nothing can be allocated.
class ProfileScope {
 public:
  ProfileScope(Profile* profile, std::string_view name, const Work& work)
      : profile_(profile), work_(work) {
    if (profile_ == nullptr) return;
    entry_ = profile_->Find(name);
    begin_ = std::chrono::steady_clock::now();
  }
  ~ProfileScope() {
    if (profile_ == nullptr) return;
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin_;
    profile_->Add(entry_, elapsed.count(), work_);
  }
  ProfileScope(const ProfileScope&) = delete;
  ProfileScope& operator=(const ProfileScope&) = delete;

 private:
  Profile* profile_;
  size_t entry_ = 0;
  Work work_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_PROFILE_H_
