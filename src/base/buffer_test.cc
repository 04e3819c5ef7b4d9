#include "base/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>

namespace fastvlm {
namespace {

TEST(Buffer, IsAlignedAtEverySize) {
  for (size_t size :
       {size_t{1}, size_t{63}, size_t{4096}, size_t{1} << 20, (size_t{5} << 20) + 3}) {
    Buffer<uint8_t> buffer(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % kAlignment, 0u) << size;
    buffer[0] = 1;
    buffer[size - 1] = 2;
  }
}

TEST(Buffer, EmptyHasNoMemory) { EXPECT_EQ(Buffer<float>(0).data(), nullptr); }

TEST(Buffer, MoveKeepsContents) {
  Buffer<int> a(3);
  a[2] = 7;
  Buffer<int> b(std::move(a));
  EXPECT_EQ(b[2], 7);
  Buffer<int> c;
  c = std::move(b);
  EXPECT_EQ(c[2], 7);
  EXPECT_EQ(c.size(), 3u);
}

}  // namespace
}  // namespace fastvlm
