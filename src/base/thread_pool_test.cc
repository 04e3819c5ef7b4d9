#include "base/thread_pool.h"

#include <gtest/gtest.h>

#include <chrono>
#include <new>
#include <numeric>
#include <stdexcept>
#include <thread>

namespace fastvlm {
namespace {

TEST(ThreadPool, RunsEveryTaskOnce) {
  for (int threads : {1, 2, 3, 7}) {
    ThreadPool pool(threads);
    for (int64_t tasks : {0, 1, 2, 5, 64, 1000}) {
      std::vector<std::atomic<int>> calls(static_cast<size_t>(tasks));
      pool.ParallelFor(tasks, [&](int64_t task, int thread) {
        EXPECT_GE(thread, 0);
        EXPECT_LT(thread, threads);
        calls[static_cast<size_t>(task)].fetch_add(1);
      });
      for (const auto& count : calls) EXPECT_EQ(count.load(), 1);
    }
  }
}

TEST(ThreadPool, ManyShortLoopsSeeEachOthersWrites) {
  ThreadPool pool(3);
  std::vector<int64_t> values(97, 0);
  for (int loop = 0; loop < 20000; ++loop) {
    pool.ParallelFor(97, [&](int64_t task, int) { values[static_cast<size_t>(task)] += task; });
  }
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(values[i], static_cast<int64_t>(i) * 20000);
}

TEST(ThreadPool, WakesAfterParking) {
  ThreadPool pool(2);
  for (int round = 0; round < 3; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::atomic<int64_t> sum{0};
    pool.ParallelFor(100, [&](int64_t task, int) { sum += task; });
    EXPECT_EQ(sum.load(), 4950);
  }
}

TEST(ThreadPool, WhatABodyThrowsReachesTheCallerAndThePoolGoesOn) {
  for (int threads : {1, 2, 4}) {
    ThreadPool pool(threads);
    for (int round = 0; round < 200; ++round) {
      std::atomic<int64_t> calls{0};
      try {
        pool.ParallelFor(64, [&](int64_t task, int) {
          ++calls;
          if (task == 7) throw std::runtime_error("seven");
        });
        FAIL() << "nothing was thrown";
      } catch (const std::runtime_error& error) {
        EXPECT_STREQ(error.what(), "seven");
      }
      EXPECT_GE(calls.load(), 1);
      calls = 0;
      pool.ParallelFor(64, [&](int64_t, int) { ++calls; });
      EXPECT_EQ(calls.load(), 64);
    }
  }
}

// The exception of a worker, not of the caller: the caller's task waits until a worker has thrown.
TEST(ThreadPool, AnExceptionOfAWorkerReachesTheCaller) {
  ThreadPool pool(2);
  std::atomic<bool> thrown{false};
  const auto body = [&](int64_t, int thread) {
    if (thread == 0) {
      while (!thrown) std::this_thread::yield();
      return;
    }
    thrown = true;
    throw std::bad_alloc();
  };
  EXPECT_THROW(pool.ParallelFor(2, body), std::bad_alloc);
}

TEST(ThreadPool, OneOfManyExceptionsIsKept) {
  ThreadPool pool(4);
  EXPECT_THROW(pool.ParallelFor(1000, [](int64_t, int) { throw std::runtime_error("each"); }),
               std::runtime_error);
  std::atomic<int64_t> calls{0};
  pool.ParallelFor(10, [&](int64_t, int) { ++calls; });
  EXPECT_EQ(calls.load(), 10);
}

TEST(ThreadPool, StopsWithoutEverRunning) { ThreadPool pool(4); }

}  // namespace
}  // namespace fastvlm
