#include "bench_worker.h"

#include <fmt/format.h>

#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>

#include "fastvlm/benchmark.h"
#include "npy.h"

namespace fastvlm {
namespace {

struct Request {
  BenchmarkKind kind = BenchmarkKind::kEncode;
  int size = 0;
  int depth = 0;
  std::string output;
};

bool ParseKind(const std::string& word, BenchmarkKind& kind) {
  if (word == "encode") {
    kind = BenchmarkKind::kEncode;
  } else if (word == "prefill") {
    kind = BenchmarkKind::kPrefill;
  } else if (word == "decode") {
    kind = BenchmarkKind::kDecode;
  } else if (word == "first-token") {
    kind = BenchmarkKind::kFirstToken;
  } else {
    return false;
  }
  return true;
}

Result<Request> ParseRequest(const std::string& line) {
  std::istringstream words(line);
  std::string word, rest;
  Request request;
  bool good = (words >> word) && ParseKind(word, request.kind) && (words >> request.size);
  if (good && request.kind == BenchmarkKind::kDecode) good = bool(words >> request.depth);
  if (good && (words >> request.output)) good = !(words >> rest);
  if (good) return request;
  return Status(
      StatusCode::kInvalidArgument,
      fmt::format("'{}' on standard input: expected encode SIDE, prefill TOKENS, decode "
                  "TOKENS DEPTH or first-token SIDE, each with or without a file to write",
                  line));
}

Status RunRequest(BenchmarkRunner& runner, const std::string& line) {
  const Result<Request> request = ParseRequest(line);
  if (!request.ok()) return request.status();
  const Result<BenchmarkRunner::Pass> pass =
      runner.Run(request->kind, request->size, request->depth);
  if (!pass.ok()) return pass.status();
  if (!request->output.empty()) {
    const Status written = WriteNpy(request->output, pass->output);
    if (!written.ok()) return written;
  }
  fmt::print("{:.3f}\n", pass->ms);
  std::fflush(stdout);
  return {};
}

}  // namespace

Status RunBenchWorker(const std::shared_ptr<const Model>& model) {
  BenchmarkRunner runner(model);
  fmt::print("ready\n");
  std::fflush(stdout);
  std::string line;
  while (std::getline(std::cin, line) && line != "quit") {
    const Status status = RunRequest(runner, line);
    if (!status.ok()) return status;
  }
  return {};
}

}  // namespace fastvlm
