// A fixed set of threads that run one parallel loop at a time.
#ifndef FASTVLM_BASE_THREAD_POOL_H_
#define FASTVLM_BASE_THREAD_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "base/profile.h"

namespace fastvlm {

// The caller is worker 0; the pool owns threads() - 1 others. Between loops the workers spin for
// some tens of microseconds and then sleep. A loop waits only for workers that have begun to work
// on it, so that a worker that the system keeps from running delays nothing. The pool runs one loop
// at a time: ParallelFor may not be called by two threads at once, nor from inside a loop.
class ThreadPool {
 public:
  // threads >= 1. Throws std::system_error if the system refuses a thread.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Where operations that run on this pool record their times; null, the default, for nowhere.
  Profile* profile() const { return profile_; }
  void set_profile(Profile* profile) { profile_ = profile; }

  // Calls body(task, thread) once for each task in [0, tasks), thread in [0, threads()), and
  // returns when all are done. Which thread gets a task is not fixed, so a task's result must not
  // depend on it. If a body throws, no further tasks are begun, and the first exception is thrown
  // here once those under way have ended; the pool can be used afterwards.
  template <typename Body>
  void ParallelFor(int64_t tasks, const Body& body) {
    Run(
        tasks,
        [](const void* context, int64_t task, int thread) {
          (*static_cast<const Body*>(context))(task, thread);
        },
        &body);
  }

 private:
  using TaskFn = void (*)(const void* context, int64_t task, int thread);

  void Run(int64_t tasks, TaskFn fn, const void* context);
  void Stop();
  void WorkerLoop(int thread);
  void RunTasks(int thread);
  bool WaitForLoop(uint64_t seen);
  bool Join(uint64_t* seen);

  Profile* profile_ = nullptr;
  std::vector<std::thread> workers_;

  // The current loop; written by Run before it opens the loop, read by workers that joined it.
  TaskFn fn_ = nullptr;
  const void* context_ = nullptr;
  int64_t tasks_ = 0;
  std::atomic<int64_t> next_task_{0};

  std::atomic<uint64_t> state_{0};  // number of the loop, whether it is open, workers in it
  std::atomic<bool> stop_{false};
  std::mutex mutex_;          // guards parking and error_
  std::exception_ptr error_;  // the first that a body of the current loop threw
  std::condition_variable wake_;
  int parked_ = 0;
};

}  // namespace fastvlm

#endif  // FASTVLM_BASE_THREAD_POOL_H_
