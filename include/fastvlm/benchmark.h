// How fast a model runs on this machine, beside what the machine can do at best.
#ifndef FASTVLM_BENCHMARK_H_
#define FASTVLM_BENCHMARK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fastvlm/model.h"
#include "fastvlm/status.h"

namespace fastvlm {

// The machine at its best, measured on the threads of a model.
struct MachinePeak {
  double f32_gflops = 0;   // multiply-adds of the instruction set in use, two operations each
  double int8_gops = 0;    // the same of exact products of 8-bit integers
  double bf16_gflops = 0;  // the same of bf16; 0 if the instruction set has no such products
  double f16_gflops = 0;   // the same of f16
  double read_gbps = 0;    // reading memory in order, 10^9 bytes per second
};
MachinePeak MeasureMachinePeak(const Model& model);

struct BenchmarkOptions {
  std::vector<int> encoder_sizes = {256, 512, 768, 1024, 1536};  // side of the square, pixels
  std::vector<int> prefill_tokens = {64, 128, 256, 512, 1024, 2048};
  std::vector<int> decode_depths = {0, 256, 1024};  // tokens that are in the cache already
  // Sequences that are decoded together, each 256 tokens deep, in one pass over the weights.
  std::vector<int> batches = {};
  int decode_tokens = 16;   // of each sequence, per repetition, >= 1
  bool first_token = true;  // the whole way from pixels to the first token
  int repetitions = 5;      // >= 1; one more comes before, uncounted
  bool profile = false;     // one more comes after, watched
};

enum class BenchmarkKind { kEncode, kPrefill, kDecode, kBatch, kFirstToken };

// What one kind of operation did in one pass. Seconds of the watched pass.
struct BenchmarkOperation {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
  double f32_operations = 0;
  double int8_operations = 0;
  double bf16_operations = 0;
  double f16_operations = 0;
  double bytes = 0;  // of operands and results
};

struct BenchmarkCase {
  BenchmarkKind kind = BenchmarkKind::kEncode;
  int size = 0;                          // pixels, tokens, depth or sequences, as the kind has it
  int64_t tokens = 0;                    // produced by one pass: visual, prompt or decoded
  double median_ms = 0, fastest_ms = 0;  // of a pass; of a step when decoding
  double f32_operations = 0;             // of such a pass or step
  double int8_operations = 0;
  double bf16_operations = 0;
  double f16_operations = 0;
  double weight_bytes = 0;                     // read by it
  std::vector<BenchmarkOperation> operations;  // with `profile`
};

using BenchmarkProgressFn = std::function<void(double fraction)>;

// Runs what the options name: prompts and depths beyond the model's context are left out, a picture
// it cannot take is kInvalidArgument; first_token is at the size it was trained for. Nothing is
// read from files; pictures and prompts are noise.
Result<std::vector<BenchmarkCase>> RunBenchmark(const std::shared_ptr<const Model>& model,
                                                const BenchmarkOptions& options,
                                                const BenchmarkProgressFn& progress = {});

// One pass at a time, for a program that takes turns with others on the same machine. Nothing is
// read from files: pictures and prompts are noise, the same each time, which
// benchmarks/peers/noise.py makes as well, so that the others can be given the same. Not
// thread-safe.
class BenchmarkRunner {
 public:
  struct Pass {
    double ms = 0;
    // kEncode: visual tokens, [tokens, hidden]. kPrefill: logits of the last token, [1,
    // vocabulary]. kDecode: the ids, [1, size]. kFirstToken: tokens of the prompt and the answer's
    // id, [1, 2].
    Matrix output;
  };

  explicit BenchmarkRunner(std::shared_ptr<const Model> model);
  ~BenchmarkRunner();

  // kEncode: a picture of size x size pixels. kPrefill: a prompt of `size` tokens. kDecode: `size`
  // tokens, each the likeliest, after a prompt of `depth` tokens that is read before the clock
  // starts. kFirstToken: from a picture of size x size pixels and a question to the first token.
  // What the model cannot take is kInvalidArgument.
  Result<Pass> Run(BenchmarkKind kind, int size, int depth = 0);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_BENCHMARK_H_
