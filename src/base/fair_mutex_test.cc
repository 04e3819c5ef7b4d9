#include "base/fair_mutex.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace fastvlm {
namespace {

void WaitUntilWaiting(const FairMutex& mutex, int64_t count) {
  while (mutex.waiting() < count) std::this_thread::yield();
}

TEST(FairMutex, IsGivenAwayInTheOrderInWhichItWasAskedFor) {
  constexpr int kThreads = 8;
  FairMutex mutex;
  std::vector<int> order;
  std::vector<std::thread> threads;
  mutex.lock();
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const std::lock_guard lock(mutex);
      order.push_back(i);
    });
    WaitUntilWaiting(mutex, i + 1);
  }
  mutex.unlock();
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < kThreads; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
  EXPECT_EQ(mutex.waiting(), 0);
}

// What an engine does: it asks again as soon as it has let go. With std::mutex it would win.
TEST(FairMutex, WhoLocksAgainAtOnceComesAfterThoseThatWait) {
  FairMutex mutex;
  int turns = 0;  // of this thread
  int turns_before_other = -1;
  for (int round = 0; round < 100; ++round) {
    mutex.lock();
    std::thread other([&] {
      const std::lock_guard lock(mutex);
      turns_before_other = turns;
    });
    WaitUntilWaiting(mutex, 1);
    const int expected = turns;
    mutex.unlock();
    for (int i = 0; i < 10; ++i) {
      const std::lock_guard lock(mutex);
      ++turns;
    }
    other.join();
    ASSERT_EQ(turns_before_other, expected) << "round " << round;
  }
}

TEST(FairMutex, HoldsOneAtATime) {
  FairMutex mutex;
  int64_t count = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int j = 0; j < 2000; ++j) {
        const std::lock_guard lock(mutex);
        ++count;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(count, 8000);
}

}  // namespace
}  // namespace fastvlm
