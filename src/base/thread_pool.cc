#include "base/thread_pool.h"

#include <utility>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace fastvlm {
namespace {

// About 50 us on a 3 GHz CPU: longer than the gaps between the operations of one forward pass.
constexpr int kSpinIterations = 4000;

// The parts of state_. Workers join a loop while it is open; it is over when they have left.
constexpr uint64_t kWorkers = (uint64_t{1} << 16) - 1;
constexpr uint64_t kOpen = uint64_t{1} << 16;
constexpr uint64_t kLoop = uint64_t{1} << 17;

uint64_t LoopOf(uint64_t state) { return state / kLoop; }

void SpinPause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  FASTVLM_CHECK(threads >= 1);
  workers_.reserve(static_cast<size_t>(threads - 1));
  try {
    for (int thread = 1; thread < threads; ++thread) {
      workers_.emplace_back([this, thread] { WorkerLoop(thread); });
    }
  } catch (...) {
    Stop();  // those that were begun
    throw;
  }
}

ThreadPool::~ThreadPool() { Stop(); }

void ThreadPool::Stop() {
  {
    std::lock_guard lock(mutex_);
    stop_.store(true, std::memory_order_release);
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::Run(int64_t tasks, TaskFn fn, const void* context) {
  if (tasks <= 0) return;
  if (workers_.empty() || tasks == 1) {
    for (int64_t task = 0; task < tasks; ++task) fn(context, task, 0);
    return;
  }
  fn_ = fn;
  context_ = context;
  tasks_ = tasks;
  next_task_.store(0, std::memory_order_relaxed);
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    state_.fetch_add(kLoop | kOpen, std::memory_order_release);
    wake = parked_ > 0;
  }
  if (wake) wake_.notify_all();
  RunTasks(0);
  state_.fetch_and(~kOpen, std::memory_order_relaxed);
  for (int spins = 0; (state_.load(std::memory_order_acquire) & kWorkers) != 0; ++spins) {
    if (spins < kSpinIterations) {
      SpinPause();
    } else {
      std::this_thread::yield();
    }
  }
  if (error_ != nullptr) std::rethrow_exception(std::exchange(error_, nullptr));
}

void ThreadPool::RunTasks(int thread) {
  try {
    while (true) {
      const int64_t task = next_task_.fetch_add(1, std::memory_order_relaxed);
      if (task >= tasks_) return;
      fn_(context_, task, thread);
    }
  } catch (...) {
    next_task_.store(tasks_, std::memory_order_relaxed);
    const std::lock_guard lock(mutex_);
    if (error_ == nullptr) error_ = std::current_exception();
  }
}

bool ThreadPool::WaitForLoop(uint64_t seen) {
  const auto has_news = [&] {
    return LoopOf(state_.load(std::memory_order_acquire)) != seen ||
           stop_.load(std::memory_order_acquire);
  };
  for (int spins = 0; spins < kSpinIterations && !has_news(); ++spins) SpinPause();
  if (!has_news()) {
    std::unique_lock lock(mutex_);
    ++parked_;
    wake_.wait(lock, has_news);
    --parked_;
  }
  return !stop_.load(std::memory_order_acquire);
}

// False if the loop is over already.
bool ThreadPool::Join(uint64_t* seen) {
  uint64_t state = state_.load(std::memory_order_acquire);
  do {
    *seen = LoopOf(state);
    if ((state & kOpen) == 0) return false;
  } while (!state_.compare_exchange_weak(state, state + 1, std::memory_order_acq_rel));
  return true;
}

void ThreadPool::WorkerLoop(int thread) {
  uint64_t seen = 0;
  while (WaitForLoop(seen)) {
    if (!Join(&seen)) continue;
    RunTasks(thread);
    state_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace fastvlm
