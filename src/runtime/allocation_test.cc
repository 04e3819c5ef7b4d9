// Counts what is allocated while an answer is produced, by operator new and Buffer alike.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "fastvlm/session.h"

namespace {
std::atomic<int64_t> allocations{0};

void* Allocate(size_t bytes, size_t alignment) {
  ++allocations;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void* AllocateOrThrow(size_t bytes, size_t alignment) {
  void* data = Allocate(bytes, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}
}  // namespace

void* operator new(size_t bytes) { return AllocateOrThrow(bytes, 16); }
void* operator new[](size_t bytes) { return AllocateOrThrow(bytes, 16); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return AllocateOrThrow(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return Allocate(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete[](void* data) noexcept { std::free(data); }
void operator delete(void* data, size_t) noexcept { std::free(data); }
void operator delete[](void* data, size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, size_t, std::align_val_t) noexcept { std::free(data); }

namespace fastvlm {
namespace {

TEST(Allocation, NonePerDecodedToken) {
  const std::string directory = std::string(FASTVLM_SOURCE_DIR) + "/tests/golden/data/apple_tied";
  for (Precision precision : {Precision::kF32, Precision::kQ8, Precision::kQ4}) {
    ModelOptions options;
    options.precision = precision;
    options.threads = 2;
    const auto model = Model::Load(directory, options).value();
    Session session = Session::Create(model).value();
    UserTurn turn;
    turn.text = "Hello there";
    GenerateOptions generate;
    generate.max_tokens = 200;
    generate.sampling.temperature = 1;
    generate.sampling.repetition_penalty = 1.1f;
    std::vector<int64_t> counts;
    counts.reserve(1000);
    const int64_t before = allocations;
    const Answer answer = session
                              .Ask(turn, generate,
                                   [&](std::string_view) {
                                     counts.push_back(allocations);
                                     return true;
                                   })
                              .value();
    EXPECT_GT(allocations, before);  // that is, they are counted
    ASSERT_GE(counts.size(), 10u) << answer.text;
    EXPECT_EQ(counts.back(), counts.front()) << "at precision " << static_cast<int>(precision);
  }
}

}  // namespace
}  // namespace fastvlm
