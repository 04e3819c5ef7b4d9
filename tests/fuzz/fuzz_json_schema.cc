// Any bytes as a JSON schema: they are refused, or every answer that a random model writes under it
// is a JSON text. The first 8 bytes seed the model.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "base/check.h"
#include "grammar/json_grammar.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

// The 256 bytes, some pieces of JSON, and an end.
const Tokenizer& Vocabulary256() {
  static const Tokenizer tokenizer = [] {
    Vocabulary vocabulary;
    int32_t next = 0;
    const auto add = [&](const std::string& bytes) {
      std::string spelling;
      for (const char c : bytes) spelling += SpellByte(static_cast<uint8_t>(c));
      if (vocabulary.tokens.emplace(spelling, next).second) ++next;
    };
    for (int byte = 0; byte < 256; ++byte) add(std::string(1, static_cast<char>(byte)));
    for (const char* piece :
         {"\": \"", "\"}", "{\"", "\", \"", "[[", "}}", "12", "e1", "\\u00", "ab"}) {
      add(piece);
    }
    AddedToken end;
    end.id = next;
    end.content = "<|im_end|>";
    end.special = true;
    vocabulary.added_tokens.push_back(end);
    return Tokenizer::Create(vocabulary, "fuzz").value();
  }();
  return tokenizer;
}

void WriteOne(const std::shared_ptr<const JsonGrammar>& grammar, int32_t end, uint64_t seed) {
  const Tokenizer& tokenizer = Vocabulary256();
  const auto constraint = NewConstraint(grammar);
  std::minstd_rand random(static_cast<uint32_t>(seed % 2147483646 + 1));
  std::vector<float> logits(static_cast<size_t>(tokenizer.size()));
  std::string text;
  for (int step = 0; step < 300; ++step) {
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = static_cast<float>(random() % 1000);
      const std::string_view bytes = tokenizer.TokenBytes(static_cast<int32_t>(i));
      if (bytes.find_first_of("\"]}") != std::string_view::npos) {
        logits[i] += static_cast<float>(step * 10);
      }
    }
    constraint->Mask(logits);
    const auto best = std::max_element(logits.begin(), logits.end());
    FASTVLM_CHECK(std::isfinite(*best));
    const int32_t token = static_cast<int32_t>(best - logits.begin());
    constraint->Accept(token);
    if (token == end) {
      FASTVLM_CHECK(nlohmann::json::accept(text));
      return;
    }
    text += tokenizer.TokenBytes(token);
  }
}

}  // namespace
}  // namespace fastvlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  uint64_t seed = 0;
  if (size < sizeof(seed)) return 0;
  std::memcpy(&seed, data, sizeof(seed));
  const std::string_view schema(reinterpret_cast<const char*>(data) + sizeof(seed),
                                size - sizeof(seed));
  static const int32_t end = fastvlm::Vocabulary256().TokenId("<|im_end|>").value();
  const auto grammar = fastvlm::CompileJsonSchema(schema, fastvlm::Vocabulary256(), {&end, 1});
  if (!grammar.ok()) return 0;
  fastvlm::WriteOne(*grammar, end, seed);
  return 0;
}
