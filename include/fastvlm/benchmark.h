// How fast a model runs on this machine, beside what the machine can do at best.
#ifndef FASTVLM_BENCHMARK_H_
#define FASTVLM_BENCHMARK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "fastvlm/export.h"
#include "fastvlm/model.h"
#include "fastvlm/status.h"

namespace fastvlm {

// What the machine can do at best, measured on the threads of a model.
struct MachinePeak {
  // Multiply-adds by the instruction set in use, 10^9 operations per second. Each multiply-add
  // counts as two operations. 0 if the instruction set has no such products.
  double f32_gflops = 0;
  double int8_gops = 0;  // products of 8-bit integers with exact sums
  double bf16_gflops = 0;
  double f16_gflops = 0;
  double read_gbps = 0;  // reading memory in order, 10^9 bytes per second
};
FASTVLM_EXPORT Result<MachinePeak> MeasureMachinePeak(const Model& model);

struct BenchmarkOptions {
  std::vector<int> encoder_sizes = {256, 512, 768, 1024, 1536};  // side of the square, pixels
  std::vector<int> prefill_tokens = {64, 128, 256, 512, 1024, 2048};
  std::vector<int> decode_depths = {0, 256, 1024};  // tokens that are in the cache already
  // Numbers of sequences that are decoded together, in one pass over the weights. Each sequence has
  // 256 tokens in its cache already.
  std::vector<int> batches = {};
  int decode_tokens = 16;   // that each sequence decodes in one repetition, >= 1
  bool first_token = true;  // measure the whole way from pixels to the first token as well
  int repetitions = 5;      // >= 1; one more runs before them and is not counted
  bool profile = false;     // run one more at the end and record its operations
};

enum class BenchmarkKind { kEncode, kPrefill, kDecode, kBatch, kFirstToken };

// What all operations of one kind did together in the recorded pass.
struct BenchmarkOperation {
  std::string name;
  int64_t calls = 0;
  double seconds = 0;
  double f32_operations = 0;
  double int8_operations = 0;
  double bf16_operations = 0;
  double f16_operations = 0;
  double bytes = 0;  // read and written: operands and results
};

struct BenchmarkCase {
  BenchmarkKind kind = BenchmarkKind::kEncode;
  // kEncode and kFirstToken: pixels of a side. kPrefill: tokens of the prompt. kDecode: tokens in
  // the cache. kBatch: sequences.
  int size = 0;
  // Visual tokens of the picture, tokens of the prompt, or tokens that a pass decodes.
  int64_t tokens = 0;
  // All that follows is for one pass, or when decoding for one step of it.
  double median_ms = 0, fastest_ms = 0;
  double f32_operations = 0;
  double int8_operations = 0;
  double bf16_operations = 0;
  double f16_operations = 0;
  double weight_bytes = 0;                     // that are read; known when decoding only
  std::vector<BenchmarkOperation> operations;  // of a whole pass; empty without `profile`
};

using BenchmarkProgressFn = std::function<void(double fraction)>;

// Runs what the options name. Prompts and depths beyond the model's context are left out; a picture
// of a size that the model cannot take is kInvalidArgument. The picture of first_token has the size
// the model was trained for. Nothing is read from files: pictures and prompts are noise.
FASTVLM_EXPORT Result<std::vector<BenchmarkCase>> RunBenchmark(
    const std::shared_ptr<const Model>& model, const BenchmarkOptions& options,
    const BenchmarkProgressFn& progress = {});

// One pass at a time, for a program that takes turns with others on the same machine. Nothing is
// read from files: pictures and prompts are noise, the same each time, which
// benchmarks/peers/noise.py makes as well, so that the others can be given the same. Not
// thread-safe.
class FASTVLM_EXPORT BenchmarkRunner {
 public:
  struct Pass {
    double ms = 0;
    // kEncode: visual tokens, [tokens, hidden]. kPrefill: logits of the last token, [1,
    // vocabulary]. kDecode: the ids, [1, size]. kFirstToken: tokens of the prompt and the answer's
    // id, [1, 2].
    Matrix output;
  };

  static Result<BenchmarkRunner> Create(std::shared_ptr<const Model> model);
  BenchmarkRunner(BenchmarkRunner&&) noexcept;
  BenchmarkRunner& operator=(BenchmarkRunner&&) noexcept;
  ~BenchmarkRunner();

  // What is timed:
  //   kEncode      a picture of size x size pixels becomes visual tokens
  //   kPrefill     a prompt of `size` tokens is read
  //   kDecode      `size` tokens are decoded, each the likeliest, after a prompt of `depth` tokens,
  //                which is read before the clock starts
  //   kFirstToken  from a picture of size x size pixels and a question to the first token
  // A size that the model cannot take is kInvalidArgument.
  Result<Pass> Run(BenchmarkKind kind, int size, int depth = 0);

 private:
  struct FASTVLM_HIDDEN Impl;
  explicit BenchmarkRunner(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fastvlm

#endif  // FASTVLM_BENCHMARK_H_
