#include "base/out_of_memory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "base/buffer.h"

namespace fastvlm {
namespace {

constexpr MemoryUse kUse = {"the weights", "use fewer bits"};

TEST(OutOfMemory, TheMessageSaysHowMuchAndForWhat) {
  const Status status = CatchOutOfMemory(kUse, []() -> Status { throw OutOfMemory(3 << 20); });
  EXPECT_EQ(status.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(),
            "out of memory: 3 MiB could not be allocated for the weights; use fewer bits");
  const MemoryUse with_subject = {"its pixels", "scale it down", "a.png"};
  EXPECT_EQ(CatchOutOfMemory(with_subject, []() -> Status { throw OutOfMemory(500); }).message(),
            "a.png: out of memory: 500 bytes could not be allocated for its pixels; scale it down");
}

TEST(OutOfMemory, WhatTheStandardLibraryThrowsIsTheSame) {
  const Result<int> no_memory =
      CatchOutOfMemory(kUse, []() -> Result<int> { throw std::bad_alloc(); });
  EXPECT_EQ(no_memory.status().code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(no_memory.status().message(),
            "out of memory: what was needed could not be allocated for the weights; use fewer "
            "bits");
  const Status too_long = CatchOutOfMemory(kUse, []() -> Status {
    std::vector<int64_t>().resize(std::numeric_limits<size_t>::max() / 4);
    return {};
  });
  EXPECT_EQ(too_long.code(), StatusCode::kResourceExhausted);
  const Status no_thread = CatchOutOfMemory(kUse, []() -> Status {
    throw std::system_error(std::make_error_code(std::errc::resource_unavailable_try_again));
  });
  EXPECT_EQ(no_thread.code(), StatusCode::kResourceExhausted);
  EXPECT_EQ(no_thread.message(), "the system refuses another thread; use fewer");
}

TEST(OutOfMemory, IsToldFromOtherLimits) {
  EXPECT_TRUE(IsOutOfMemory(CatchOutOfMemory(kUse, []() -> Status { throw OutOfMemory(1); })));
  EXPECT_FALSE(IsOutOfMemory(Status(StatusCode::kResourceExhausted, "the queue is full")));
  EXPECT_FALSE(IsOutOfMemory(Status(StatusCode::kDataError, "out of memory")));
}

TEST(OutOfMemory, OtherExceptionsAndResultsPassThrough) {
  EXPECT_THROW(
      (void)CatchOutOfMemory(kUse, []() -> Status { throw std::runtime_error("a caller's"); }),
      std::runtime_error);
  EXPECT_THROW((void)CatchOutOfMemory(kUse,
                                      []() -> Status {
                                        throw std::system_error(
                                            std::make_error_code(std::errc::invalid_argument));
                                      }),
               std::system_error);
  EXPECT_EQ(CatchOutOfMemory(kUse, []() -> Result<int> { return 7; }).value(), 7);
}

TEST(OutOfMemory, ABufferThatCannotBeThrows) {
  constexpr size_t kMost = std::numeric_limits<size_t>::max();
  try {
    const Buffer<float> buffer(size_t{1} << 60);  // 4 EiB
    FAIL() << "no system has so much";
  } catch (const OutOfMemory& error) {
    EXPECT_EQ(error.bytes(), size_t{1} << 62);
  }
  EXPECT_THROW(Buffer<float>(kMost / 2), OutOfMemory);  // its bytes overflow
}

TEST(OutOfMemory, AllocationsAreRefusedOnRequest) {
  RefuseAllocationsForTesting([](size_t bytes) { return bytes > 1000; });
  EXPECT_THROW(Buffer<uint8_t>(1001), OutOfMemory);
  EXPECT_EQ(Buffer<uint8_t>(1000).size(), 1000u);
  RefuseAllocationsForTesting(nullptr);
  EXPECT_EQ(Buffer<uint8_t>(1001).size(), 1001u);
}

}  // namespace
}  // namespace fastvlm
