// What constrained output costs for each token: the time of masking the logits and of following the
// token taken, on a random model's answers.
//
// Usage: grammar_bench DIRECTORY   (of a checkpoint; only its tokenizer files are read)
// "first" is with nothing known yet, "again" the same answers a second time, as for the next
// request with the same schema.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "grammar/json_grammar.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

struct Case {
  const char* name;
  const char* schema;
};
constexpr Case kCases[] = {
    {"any JSON", "{}"},
    {"any object", R"({"type":"object"})"},
    {"object of 4 fields",
     R"({"type":"object","properties":{"caption":{"type":"string"},"count":{"type":"integer",
         "minimum":0,"maximum":99},"colour":{"enum":["red","green","blue","other"]},
         "confidence":{"type":"number","minimum":0,"maximum":1}},
         "required":["caption","count","colour","confidence"],"additionalProperties":false})"},
    {"list of objects",
     R"({"type":"array","minItems":1,"maxItems":20,"items":{"type":"object","properties":
         {"label":{"type":"string","maxLength":40},"box":{"type":"array","items":{"type":"integer",
         "minimum":0,"maximum":1024},"minItems":4,"maxItems":4}},"required":["label","box"]}})"},
    {"alternatives, recursive",
     R"({"$defs":{"n":{"anyOf":[{"type":"object","properties":{"kind":{"const":"leaf"},"text":
         {"type":"string"}},"required":["kind","text"]},{"type":"object","properties":{"kind":
         {"const":"list"},"items":{"type":"array","items":{"$ref":"#/$defs/n"}}},
         "required":["kind","items"]}]}},"$ref":"#/$defs/n"})"},
    {"open pattern", R"({"type":"string","pattern":"^[A-Z].*\\.$"})"},
    {"counted string", R"({"type":"string","minLength":20,"maxLength":400})"},
};

// Of this thread's CPU time, so that a busy machine does not count.
double Microseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

struct Times {
  double sum = 0, worst = 0;
  int64_t tokens = 0;
};

// Answers of a model with random logits that leans more and more to what closes.
Times Answers(const std::shared_ptr<const JsonGrammar>& grammar, const Tokenizer& tokenizer,
              int32_t end) {
  Times times;
  std::minstd_rand random(1);
  const size_t size = static_cast<size_t>(tokenizer.size());
  std::vector<float> noise(size), closing(size), logits(size);
  for (size_t i = 0; i < size; ++i) {
    const double uniform = (static_cast<double>(random()) + 1) / 2147483649.0;
    noise[i] = static_cast<float>(-std::log(-std::log(uniform)));
    const std::string_view bytes = tokenizer.TokenBytes(static_cast<int32_t>(i));
    closing[i] = bytes.find_first_of("\"]}") != std::string_view::npos ? 1.0f : 0.0f;
  }
  for (int answer = 0; answer < 20; ++answer) {
    const auto constraint = NewConstraint(grammar);
    for (int step = 0; step < 200; ++step) {
      const size_t shift = random() % size;
      for (size_t i = 0; i < size; ++i) {
        const size_t from = i + shift < size ? i + shift : i + shift - size;
        logits[i] = noise[from] + closing[i] * static_cast<float>(step) / 12;
      }
      const double start = Microseconds();
      constraint->Mask(logits);
      double spent = Microseconds() - start;
      const int32_t token =
          static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
      const double accept = Microseconds();
      constraint->Accept(token);
      spent += Microseconds() - accept;
      times.sum += spent;
      times.worst = std::max(times.worst, spent);
      ++times.tokens;
      if (token == end) break;
    }
  }
  return times;
}

int Main(const char* directory) {
  const Result<Tokenizer> tokenizer = Tokenizer::Load(directory);
  if (!tokenizer.ok()) {
    fmt::print(stderr, "error: {}\n", tokenizer.status().message());
    return 1;
  }
  const int32_t end = tokenizer->TokenId("<|im_end|>").value_or(tokenizer->size() - 1);
  GrammarCache cache(*tokenizer, {&end, 1});
  double start = Microseconds();
  if (const auto grammar = cache.Get("true"); !grammar.ok()) {
    fmt::print(stderr, "error: {}\n", grammar.status().message());
    return 1;
  }
  fmt::print("{} tokens, indexed in {:.0f} ms; CPU microseconds\n\n", tokenizer->size(),
             (Microseconds() - start) / 1000);
  fmt::print("{:<24} {:>10} {:>7} {:>11} {:>11} {:>11} {:>11}\n", "schema", "compile us", "tokens",
             "first mean", "first worst", "again mean", "again worst");
  for (const Case& test : kCases) {
    start = Microseconds();
    const auto grammar = cache.Get(test.schema);
    const double compile = Microseconds() - start;
    if (!grammar.ok()) {
      fmt::print(stderr, "error: {}\n", grammar.status().message());
      return 1;
    }
    const Times first = Answers(*grammar, *tokenizer, end);
    const Times again = Answers(*grammar, *tokenizer, end);
    fmt::print("{:<24} {:>10.0f} {:>7} {:>11.1f} {:>11.1f} {:>11.1f} {:>11.1f}\n", test.name,
               compile, first.tokens, first.sum / static_cast<double>(first.tokens), first.worst,
               again.sum / static_cast<double>(again.tokens), again.worst);
  }
  return 0;
}

}  // namespace
}  // namespace fastvlm

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: grammar_bench DIRECTORY\n");
    return 2;
  }
  return fastvlm::Main(argv[1]);
}
