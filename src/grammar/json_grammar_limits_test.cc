// What grammars refuse, and their bounds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "grammar/compiler.h"
#include "grammar/json_grammar.h"
#include "grammar/matcher.h"
#include "support/grammar_writer.h"
#include "support/random.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

TEST(JsonGrammar, NestingIsBoundedAndCanAlwaysBeClosed) {
  const std::string schema = R"({"type":"array","items":{"$ref":"#"}})";
  EXPECT_TRUE(Allows(schema, std::string(60, '[') + std::string(60, ']')));
  EXPECT_FALSE(Allows(schema, std::string(100, '[') + std::string(100, ']')));
  // A model that only ever opens: at the bound it has to turn back.
  for (const char* text :
       {R"({"type":"array","items":{"$ref":"#"},"minItems":1,"maxItems":2})", "{}"}) {
    const std::string opening = text;
    if (opening == "{}") {
      const auto grammar = Compiled(opening, Joined());
      TestRandom random;
      for (int i = 0; i < 5; ++i) {
        const auto constraint = NewConstraint(grammar);
        std::vector<float> logits(static_cast<size_t>(Joined().size()));
        for (int step = 0; step < 400; ++step) {
          for (size_t t = 0; t < logits.size(); ++t) {
            const std::string_view bytes = Joined().TokenBytes(static_cast<int32_t>(t));
            logits[t] = random.Uniform(0, 1) + (bytes.find_first_of("[{") == 0 ? 2.0f : 0.0f) +
                        (bytes.find('\"') == 0 ? 1.0f : 0.0f) +
                        (bytes.find(':') != std::string_view::npos ? 1.0f : 0.0f);
          }
          constraint->Mask(logits);
          const auto best = std::max_element(logits.begin(), logits.end());
          ASSERT_TRUE(std::isfinite(*best)) << "step " << step;
          constraint->Accept(static_cast<int32_t>(best - logits.begin()));
        }
      }
    } else {
      const auto network = grammar::CompileSchema(opening);
      ASSERT_FALSE(network.ok());
      EXPECT_THAT(network.status().message(), HasSubstr("nested deeper than 64"));
    }
  }
}

std::string Refusal(const std::string& schema) {
  const Result<grammar::Network> network = grammar::CompileSchema(schema);
  EXPECT_FALSE(network.ok()) << schema;
  if (network.ok()) return "";
  EXPECT_EQ(network.status().code(), StatusCode::kInvalidArgument) << schema;
  return network.status().message();
}

TEST(JsonGrammar, WhatIsNotSupportedIsNamedWithItsPlace) {
  EXPECT_EQ(Refusal(R"({"properties":{"a":{"not":{}}}})"),
            "JSON schema: #/properties/a: keyword \"not\" is not supported");
  for (const char* keyword : {"if", "patternProperties", "contains", "not", "dependentRequired",
                              "unevaluatedProperties", "nonsense"}) {
    EXPECT_THAT(Refusal(fmt::format(R"({{"items":{{"{}":true}}}})", keyword)),
                HasSubstr(fmt::format("#/items: keyword \"{}\" is not supported", keyword)));
  }
  EXPECT_THAT(Refusal(R"x({"pattern":"(?=a)"})x"), HasSubstr("only \"(?:\""));
  EXPECT_THAT(Refusal(R"({"pattern":"a\\1"})"), HasSubstr("\"\\1\" is not supported"));
  EXPECT_THAT(Refusal(R"({"pattern":"a^b"})"), HasSubstr("only at the ends"));
  EXPECT_THAT(Refusal(R"({"pattern":"[z-a]"})"), HasSubstr("not in order"));
  EXPECT_THAT(Refusal(R"({"pattern":"(a"})"), HasSubstr("not closed"));
  EXPECT_THAT(Refusal(R"({"oneOf":[{"type":"integer"},{"type":"number"}]})"),
              HasSubstr("alternatives 0 and 1"));
  EXPECT_THAT(Refusal(R"({"oneOf":[{"properties":{"a":{"const":1}}},{"type":"object"}]})"),
              HasSubstr("alternatives 0 and 1"));
  EXPECT_THAT(Refusal(R"({"$ref":"http://x/y"})"), HasSubstr("only places of the same schema"));
  EXPECT_THAT(Refusal(R"({"$ref":"#/$defs/no"})"), HasSubstr("leads nowhere"));
  EXPECT_THAT(Refusal(R"({"enum":["a"],"minLength":1})"), HasSubstr("beside \"enum\""));
  EXPECT_THAT(Refusal(R"({"allOf":[{"pattern":"a"},{"pattern":"b"}]})"), HasSubstr("pattern"));
  EXPECT_THAT(Refusal(R"({"type":"number","minimum":1e-9})"), HasSubstr("minimum"));
  EXPECT_THAT(Refusal(R"({"type":"float"})"), HasSubstr("expected a JSON type"));
  EXPECT_THAT(Refusal(R"({"type":"string","minLength":-1})"), HasSubstr("minLength"));
  EXPECT_THAT(Refusal(R"({"required":"a"})"), HasSubstr("a list of names"));
  EXPECT_THAT(Refusal("[]"), HasSubstr("expected an object, true or false"));
  EXPECT_THAT(Refusal("{"), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(""), HasSubstr("not valid JSON"));
}

TEST(JsonGrammar, WhatNothingFollowsIsRefused) {
  for (const char* schema :
       {"false", R"({"enum":[]})", R"({"type":"integer","minimum":2,"maximum":1})",
        R"({"type":"array","minItems":2,"maxItems":1})", R"({"minLength":3,"maxLength":2})",
        R"({"allOf":[{"type":"string"},{"type":"null"}]})", R"({"anyOf":[{"$ref":"#"}]})",
        R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})",
        R"({"type":"object","required":["a"],"additionalProperties":false})",
        R"({"pattern":"^a$","minLength":2})"}) {
    EXPECT_THAT(Refusal(schema), HasSubstr("no value follows it")) << schema;
  }
  EXPECT_THAT(Refusal(R"({"$ref":"#"})"), HasSubstr("lead more than"));
}

TEST(JsonGrammar, HostileSchemasAreRefusedQuickly) {
  EXPECT_THAT(Refusal(std::string(100'000, '[')), HasSubstr("nested deeper"));
  EXPECT_THAT(Refusal("{\"title\":\"" + std::string(300'000, 'x') + "\"}"), HasSubstr("limit"));
  std::string many = R"({"enum":[0)";
  for (int i = 0; i < 20'000; ++i) many += ",1";
  EXPECT_THAT(Refusal(many + "]}"), HasSubstr("10000"));
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{"d60":{"type":"null"})";
  for (int i = 0; i < 60; ++i) {
    doubling += fmt::format(
        R"(,"d{0}":{{"allOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}})", i, i + 1);
  }
  EXPECT_THAT(Refusal(doubling + "}}"), HasSubstr("#"));
  EXPECT_THAT(Refusal(R"x({"pattern":"((((a{1000}){1000}){1000}){1000})"})x"),
              HasSubstr("too long"));
  EXPECT_THAT(Refusal(R"({"pattern":"(a|b)*a(a|b){20}"})"), HasSubstr("too many different cases"));
  EXPECT_THAT(Refusal(R"({"minLength":1000000})"), HasSubstr("minLength"));
  EXPECT_THAT(Refusal(R"({"minItems":1000000})"), HasSubstr("minItems"));
  std::string long_strings = R"({"properties":{"a":{"type":"null"})";
  for (int i = 0; i < 40; ++i) {
    long_strings += fmt::format(R"(,"p{}":{{"type":"string","minLength":{}}})", i, 4096 - i);
  }
  EXPECT_THAT(Refusal(long_strings + "}}"), HasSubstr("states"));
}

// A text of up to 1000 letters, which takes more than a million steps.
std::string LongPattern(int i) { return fmt::format("^(?:a?){{{}}}$", 1000 + i); }

TEST(JsonGrammar, PatternsThatAreAllowedAloneAreCountedTogether) {
  std::string properties;
  for (int i = 0; i < 16; ++i) {
    const std::string property =
        fmt::format(R"("p{}":{{"type":"string","pattern":"{}"}})", i, LongPattern(i));
    if (i == 0 || i == 15) {
      const auto alone = grammar::CompileSchema("{\"properties\":{" + property + "}}");
      EXPECT_TRUE(alone.ok()) << alone.status().message();
    }
    properties += (i == 0 ? "" : ",") + property;
  }
  const std::string refusal = Refusal("{\"properties\":{" + properties + "}}");
  EXPECT_THAT(refusal, HasSubstr("#/properties/p"));
  EXPECT_THAT(refusal, HasSubstr("more than the limit of 12000000 steps together"));
}

TEST(JsonGrammar, ManyRangesAndManyRepetitionsAreCounted) {
  std::string ranges;
  for (int code = 0x4e00; code < 0x4e00 + 8000; code += 2)
    ranges += fmt::format("\\\\u{:04x}", code);
  EXPECT_THAT(Refusal(R"({"pattern":"^(?:[)" + ranges + R"(]){4000}$"})"),
              HasSubstr("too many different cases"));
}

TEST(JsonGrammar, CompilingCanBeStopped) {
  const std::string schema = R"({"pattern":")" + LongPattern(0) + R"("})";
  int asked = 0;
  ASSERT_TRUE(grammar::CompileSchema(schema, [&] {
                ++asked;
                return false;
              }).ok());
  EXPECT_GT(asked, 100);  // also within the one pattern
  for (const int stop_at : {1, 2, 100}) {
    int calls = 0;
    const auto stopped = grammar::CompileSchema(schema, [&] { return ++calls >= stop_at; });
    ASSERT_FALSE(stopped.ok());
    EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled) << stop_at;
    EXPECT_EQ(calls, stop_at);
  }
}

TEST(JsonGrammar, DoublingAlternativesAreOne) {
  std::string doubling = R"({"$ref":"#/$defs/d0","$defs":{"d40":{"type":"null"})";
  for (int i = 0; i < 40; ++i) {
    doubling += fmt::format(
        R"(,"d{0}":{{"anyOf":[{{"$ref":"#/$defs/d{1}"}},{{"$ref":"#/$defs/d{1}"}}]}})", i, i + 1);
  }
  EXPECT_TRUE(Allows(doubling + "}}", "null"));
}

TEST(JsonGrammar, ManyAlternativesAndOptionalProperties) {
  std::string alternatives = R"({"anyOf":[)";
  std::string properties = R"({"properties":{)";
  for (int i = 0; i < 200; ++i) {
    const char* comma = i == 0 ? "" : ",";
    alternatives += fmt::format(
        R"({}{{"type":"object","properties":{{"k":{{"const":{}}}}},"required":["k"]}})", comma, i);
    properties += fmt::format(R"({}"p{}":{{"type":"integer"}})", comma, i);
  }
  for (int i = 0; i < 200; i += 7) {
    EXPECT_TRUE(Allows(alternatives + "]}", fmt::format(R"({{"k":{}}})", i)));
    EXPECT_TRUE(Allows(properties + "}}", fmt::format(R"({{"p{}":1,"p199":2}})", i)));
  }
}

TEST(JsonGrammar, AfterTheEndOnlyTheEndMayCome) {
  const int32_t end = EndToken(Nano());
  const auto constraint = NewConstraint(Compiled(R"({"const":1})", Nano()));
  std::vector<float> logits(static_cast<size_t>(Nano().size()));
  constraint->Accept(Nano().TokenId("1").value());
  for (int i = 0; i < 3; ++i) {
    std::fill(logits.begin(), logits.end(), 0.0f);
    constraint->Mask(logits);
    for (size_t t = 0; t < logits.size(); ++t) {
      EXPECT_EQ(std::isfinite(logits[t]), static_cast<int32_t>(t) == end) << t;
    }
    constraint->Accept(end);
  }
}

TEST(JsonGrammar, AVocabularyWithoutAnEndIsRefused) {
  EXPECT_EQ(CompileJsonSchema("{}", Nano(), {}).status().code(), StatusCode::kInvalidArgument);
  const int32_t beyond = Nano().size();
  EXPECT_EQ(CompileJsonSchema("{}", Nano(), {&beyond, 1}).status().code(),
            StatusCode::kInvalidArgument);
}

TEST(GrammarCache, KeepsTheLastAndReportsErrors) {
  const int32_t end = EndToken(Nano());
  GrammarCache cache(Nano(), {&end, 1});
  const auto first = cache.Get("{}").value();
  EXPECT_EQ(cache.Get("{}").value(), first);
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(cache.Get(fmt::format(R"({{"const":{}}})", i)).ok());
  }
  EXPECT_NE(cache.Get("{}").value(), first);
  EXPECT_FALSE(cache.Get("nonsense").ok());
  const auto stopped = cache.Get(R"({"const":"new"})", [] { return true; });
  EXPECT_EQ(stopped.status().code(), StatusCode::kCancelled);
  EXPECT_TRUE(cache.Get(R"({"const":"new"})").ok());                       // nothing of it was kept
  EXPECT_TRUE(cache.Get(R"({"const":"new"})", [] { return true; }).ok());  // found, not compiled
}

}  // namespace
}  // namespace fastvlm
