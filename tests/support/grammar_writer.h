// Vocabularies under a JSON grammar, and a random model that may only write what it allows.
#ifndef FASTVLM_TESTS_SUPPORT_GRAMMAR_WRITER_H_
#define FASTVLM_TESTS_SUPPORT_GRAMMAR_WRITER_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "grammar/compiler.h"
#include "grammar/json_grammar.h"
#include "grammar/matcher.h"
#include "support/random.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace fastvlm {

inline const Tokenizer& Nano() {
  static const Tokenizer tokenizer =
      Tokenizer::Load(std::string(FASTVLM_SOURCE_DIR) + "/models/nano").value();
  return tokenizer;
}

// A vocabulary that crosses the borders of JSON's pieces as Qwen2's does: quotes and brackets
// joined, spaces in front, halves of characters, several characters in one.
inline const Tokenizer& Joined() {
  static const Tokenizer tokenizer = [] {
    Vocabulary vocabulary;
    int32_t next = 0;
    const auto add = [&](const std::string& spelling) {
      if (vocabulary.tokens.emplace(spelling, next).second) ++next;
    };
    for (int byte = 0; byte < 256; ++byte) add(SpellByte(static_cast<uint8_t>(byte)));
    const std::string pieces[] = {"\"",
                                  "\":",
                                  "\": ",
                                  "\",",
                                  "\", ",
                                  "\"}",
                                  "\"]",
                                  "{\"",
                                  "{}",
                                  "[]",
                                  "[[",
                                  "]]",
                                  "}}",
                                  "},",
                                  "}, ",
                                  "],",
                                  ": ",
                                  ", ",
                                  ",\"",
                                  ":\"",
                                  " \"",
                                  "12",
                                  "0.",
                                  "1e",
                                  "-1",
                                  "00",
                                  "true",
                                  "fal",
                                  "se",
                                  "nul",
                                  "l,",
                                  "\\\"",
                                  "\\u",
                                  "\\n",
                                  "\\ud8",
                                  "00\\udc00",
                                  "name",
                                  "id",
                                  "kind",
                                  "a\"",
                                  "ab",
                                  "abc",
                                  "x\": \"",
                                  "  ",
                                  "\n\n",
                                  "\xC3\xA9",
                                  "\xE4\xB8\x96",
                                  "\xE4\xB8",
                                  "\x96\xE7\x95\x8C",
                                  "\xF0\x9F\x98\x80",
                                  "\xF0\x9F",
                                  "\x98\x80\"",
                                  "2024-",
                                  "caf\xC3\xA9\"}"};
    for (const std::string& piece : pieces) {
      std::string spelling;
      for (const char c : piece) spelling += SpellByte(static_cast<uint8_t>(c));
      add(spelling);
    }
    AddedToken end;
    end.id = next;
    end.content = "<|im_end|>";
    end.special = true;
    vocabulary.added_tokens.push_back(end);
    return Tokenizer::Create(vocabulary, "test").value();
  }();
  return tokenizer;
}

inline int32_t EndToken(const Tokenizer& tokenizer) {
  return tokenizer.TokenId("<|im_end|>").value();
}

inline std::shared_ptr<const JsonGrammar> Compiled(const std::string& schema,
                                                   const Tokenizer& tokenizer) {
  const int32_t end = EndToken(tokenizer);
  auto grammar = CompileJsonSchema(schema, tokenizer, {&end, 1});
  EXPECT_TRUE(grammar.ok()) << schema << "\n" << grammar.status().message();
  return grammar.value();
}

// Draws from random logits at temperature 1. What closes strings, lists and objects becomes
// likelier as the text grows, as a random model would never come to an end otherwise.
inline std::string Write(const std::shared_ptr<const JsonGrammar>& grammar,
                         const Tokenizer& tokenizer, TestRandom& random, float leaning) {
  const int32_t end = EndToken(tokenizer);
  const auto constraint = NewConstraint(grammar);
  std::vector<float> logits(static_cast<size_t>(tokenizer.size()) + 4);
  std::string text;
  for (int step = 0; step < 3000; ++step) {
    const float lean = leaning * static_cast<float>(step) / 10;
    for (size_t i = 0; i < logits.size(); ++i) {
      logits[i] = -std::log(-std::log(random.Uniform(1e-6f, 0.999999f)));  // a draw: Gumbel's
      const std::string_view bytes = tokenizer.TokenBytes(static_cast<int32_t>(i));
      const bool closes = bytes.find_first_of("\"]}") != std::string_view::npos &&
                          bytes.find_first_of("[{,:") == std::string_view::npos;
      if (closes || static_cast<int32_t>(i) == end) logits[i] += lean;
    }
    constraint->Mask(logits);
    const auto best = std::max_element(logits.begin(), logits.end());
    if (!std::isfinite(*best)) {
      ADD_FAILURE() << "nothing may follow " << text;
      return text;
    }
    const int32_t token = static_cast<int32_t>(best - logits.begin());
    constraint->Accept(token);
    if (token == end) return text;
    text += tokenizer.TokenBytes(token);
  }
  ADD_FAILURE() << "no end after 3000 tokens: " << text.substr(0, 300);
  return text;
}

// Texts that the grammar must allow byte by byte, and texts that it must refuse.
inline bool Allows(const std::string& schema, const std::string& text) {
  Result<grammar::Network> network = grammar::CompileSchema(schema);
  EXPECT_TRUE(network.ok()) << network.status().message();
  const int32_t end = EndToken(Joined());
  const grammar::Matcher matcher(std::move(network).value(),
                                 grammar::TokenIndex::Create(Joined(), {&end, 1}).value());
  return grammar::Matcher::MayEnd(matcher.Advance(matcher.start(), text));
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_GRAMMAR_WRITER_H_
