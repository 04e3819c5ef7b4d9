// `fastvlm bench --worker`: passes on request, for a script that takes turns with other programs.
#ifndef FASTVLM_APPS_BENCH_WORKER_H_
#define FASTVLM_APPS_BENCH_WORKER_H_

#include <memory>

#include "fastvlm/model.h"
#include "fastvlm/status.h"

namespace fastvlm {

// Prints "ready", then reads a line of standard input at a time, runs one pass and prints its
// milliseconds, until the input ends or says "quit". The lines:
//   encode SIDE [F.npy]            picture to visual tokens
//   prefill TOKENS [F.npy]         prompt to the logits of its last token
//   decode TOKENS DEPTH [F.npy]    TOKENS tokens after DEPTH; milliseconds of all together
//   first-token SIDE [F.npy]       picture and question to the first token
// F.npy receives what came out; BenchmarkRunner says what that is. The first line that is not one
// of these, or that the model cannot do, ends it with an error.
Status RunBenchWorker(const std::shared_ptr<const Model>& model);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_BENCH_WORKER_H_
