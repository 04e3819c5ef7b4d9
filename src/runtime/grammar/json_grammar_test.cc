// Random models that may only write what a schema allows, and an independent validator that reads
// what they wrote.
#include "runtime/json_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "runtime/grammar/compiler.h"
#include "runtime/grammar/matcher.h"
#include "support/random.h"
#include "support/schema_checker.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace fastvlm {
namespace {

using grammar::Matcher;
using grammar::Position;
using grammar::TokenIndex;
using ::testing::HasSubstr;
using Json = nlohmann::json;

const Tokenizer& Nano() {
  static const Tokenizer tokenizer =
      Tokenizer::Load(std::string(FASTVLM_SOURCE_DIR) + "/models/nano").value();
  return tokenizer;
}

// A vocabulary that crosses the borders of JSON's pieces as Qwen2's does: quotes and brackets
// joined, spaces in front, halves of characters, several characters in one.
const Tokenizer& Joined() {
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

int32_t EndToken(const Tokenizer& tokenizer) { return tokenizer.TokenId("<|im_end|>").value(); }

std::shared_ptr<const JsonGrammar> Compiled(const std::string& schema, const Tokenizer& tokenizer) {
  const int32_t end = EndToken(tokenizer);
  auto grammar = CompileJsonSchema(schema, tokenizer, {&end, 1});
  EXPECT_TRUE(grammar.ok()) << schema << "\n" << grammar.status().message();
  return grammar.value();
}

// Draws from random logits at temperature 1, with a leaning to what closes strings, lists and
// objects that grows with the length, as no random model would ever end.
std::string Write(const std::shared_ptr<const JsonGrammar>& grammar, const Tokenizer& tokenizer,
                  TestRandom& random, float leaning) {
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

const char* const kSchemas[] = {
    R"({})",
    R"(true)",
    R"({"type":"object"})",
    R"({"type":"array"})",
    R"({"type":["string","null"]})",
    R"({"type":"boolean","description":"yes or no"})",
    R"({"type":"number"})",
    R"({"type":"integer"})",
    R"({"type":"string"})",
    R"({"type":"string","minLength":3,"maxLength":5})",
    R"({"type":"string","minLength":2})",
    R"({"type":"string","maxLength":0})",
    R"({"type":"object","properties":{"name":{"type":"string"},"id":{"type":"integer"}},
        "required":["name","id"],"additionalProperties":false})",
    R"({"type":"object","properties":{"a":{"type":"integer"},"ab":{"type":"null"},
        "abc":{"type":"boolean"},"n\"q\\":{"type":"string"}},"required":["ab"]})",
    R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
        "required":["c"],"additionalProperties":{"type":"boolean"}})",
    R"({"type":"object","properties":{"a":false,"é":{"type":"integer"}},
        "additionalProperties":true})",
    R"({"type":"object","required":["x","y"],"additionalProperties":{"type":"integer"}})",
    R"({"type":"object","additionalProperties":false})",
    R"({"type":"array","items":{"type":"integer"},"minItems":2,"maxItems":4})",
    R"({"type":"array","items":{"enum":["x","y"]},"minItems":3})",
    R"({"type":"array","items":false})",
    R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string","maxLength":3}],
        "items":{"type":"null"}})",
    R"({"type":"array","prefixItems":[{"type":"integer"}],"minItems":3})",
    R"({"enum":["a","ab","abc",1,12,null,true,{"k":[1,2]},"q\"\\\n","世界"]})",
    R"({"const":{"a":{"b":[]}}})",
    R"({"type":"string","enum":["a",5,"b"]})",
    R"({"anyOf":[{"type":"integer"},{"type":"number"},{"type":"array","items":{"type":"null"}}]})",
    R"({"anyOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},
                  "required":["kind","x"]},
                 {"type":"object","properties":{"kind":{"const":"ab"},"x":{"type":"string"}},
                  "required":["kind","x"]}]})",
    R"({"oneOf":[{"type":"object","properties":{"kind":{"const":"a"},"x":{"type":"integer"}},
                  "required":["kind","x"]},
                 {"type":"object","properties":{"kind":{"enum":["b","c"]}},"required":["kind"]},
                 {"type":"null"}]})",
    R"({"type":"object","properties":{"id":{"type":"integer"}},"required":["id"],
        "anyOf":[{"properties":{"a":{"type":"null"}},"required":["a"]},
                 {"properties":{"b":{"type":"null"}},"required":["b"]}]})",
    R"({"allOf":[{"type":"object","properties":{"a":{"type":"string","minLength":1}},
                  "required":["a"]},
                 {"properties":{"a":{"maxLength":2},"b":{"type":"integer"}},"required":["b"]}]})",
    R"({"allOf":[{"type":"array","prefixItems":[{"type":"number"}],"items":{"type":"integer"}},
                 {"items":{"minimum":3},"minItems":2,"maxItems":5}]})",
    R"({"allOf":[{"enum":[1,2,3,"x"]},{"enum":["x",3,4]},{"type":["integer","string"]}]})",
    R"({"$ref":"#/$defs/node","$defs":{"node":{"type":"object","properties":{
        "value":{"type":"integer"},"next":{"anyOf":[{"type":"null"},{"$ref":"#/$defs/node"}]}},
        "required":["value","next"]}}})",
    R"({"type":"object","properties":{"children":{"type":"array","items":{"$ref":"#"}},
        "name":{"type":"string","maxLength":2}},"required":["children"]})",
    R"({"anyOf":[{"$ref":"#/$defs/list"},{"type":"integer"}],
        "$defs":{"list":{"type":"array","items":{"$ref":"#"},"minItems":1}}})",
    R"({"type":"string","pattern":"^[a-z]{2,4}-\\d+$"})",
    R"({"type":"string","pattern":"ab|c$","maxLength":8})",
    R"({"type":"string","pattern":"^(a|b(?:cd)*?)+x?$","minLength":3,"maxLength":9})",
    R"({"type":"string","pattern":"^[^a-y]*\\\\\"\\n\\u0001\\s\\S$","maxLength":12})",
    R"({"type":"string","pattern":"^.{2,3}$"})",
    R"({"type":"string","pattern":"^\\w+\\W\\D$"})",
    R"({"type":"integer","minimum":-12,"maximum":305})",
    R"({"type":"integer","minimum":0})",
    R"({"type":"integer","exclusiveMinimum":7,"exclusiveMaximum":9})",
    R"({"type":"integer","maximum":-5.5})",
    R"({"type":"integer","minimum":8999999999999999999})",
    R"({"type":"number","minimum":0,"maximum":1})",
    R"({"type":"number","minimum":-0.25,"exclusiveMaximum":0.1})",
    R"({"type":"number","exclusiveMinimum":0})",
    R"({"type":"number","exclusiveMaximum":0})",
    R"({"type":"number","minimum":12.345,"maximum":12.346})",
    R"({"type":"number","exclusiveMinimum":-3.5,"maximum":-3})",
    R"({"type":["object","array","integer"],"properties":{"a":{"type":"null"}},
        "items":{"type":"boolean"},"minimum":10,"maximum":99})",
    R"({"properties":{"a":{"type":"integer"}}})",
};

class SchemaTest : public ::testing::TestWithParam<const char*> {};

TEST_P(SchemaTest, WhateverIsWrittenFollowsTheSchema) {
  const Json schema = Json::parse(GetParam());
  const SchemaChecker checker(schema);
  TestRandom random;
  for (const Tokenizer* tokenizer : {&Joined(), &Nano()}) {
    const auto grammar = Compiled(GetParam(), *tokenizer);
    std::set<std::string> different;
    for (int i = 0; i < (tokenizer == &Nano() ? 6 : 40); ++i) {
      const std::string text = Write(grammar, *tokenizer, random, 1.0f);
      if (::testing::Test::HasFailure()) return;
      EXPECT_TRUE(IsValidUtf8(text)) << text;
      const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
      ASSERT_FALSE(value.is_discarded()) << text;
      ASSERT_EQ(checker.Check(value), "") << text;
      different.insert(text);
    }
    if (tokenizer == &Nano() || !schema.is_object()) continue;
    const bool single = schema.contains("const") || schema.contains("exclusiveMinimum") ||
                        schema.value("maxLength", 1) == 0 || schema.contains("items") ||
                        schema.value("additionalProperties", Json()) == false;
    EXPECT_GT(different.size(), single ? 0u : 1u) << "always " << *different.begin();
  }
}

INSTANTIATE_TEST_SUITE_P(All, SchemaTest, ::testing::ValuesIn(kSchemas));

// Texts that must be possible, byte by byte, and such that must not be.
bool Allows(const std::string& schema, const std::string& text) {
  Result<grammar::Network> network = grammar::CompileSchema(schema);
  EXPECT_TRUE(network.ok()) << network.status().message();
  const int32_t end = EndToken(Joined());
  const Matcher matcher(std::move(network).value(),
                        TokenIndex::Create(Joined(), {&end, 1}).value());
  return Matcher::MayEnd(matcher.Advance(matcher.start(), text));
}

TEST(JsonGrammar, AllowsWhatItShould) {
  const std::string any = "{}";
  for (const char* text :
       {R"({"a": 1, "b": [true, false, null], "c": {"d": "e"}})", R"({"a":1,"b":[]})", "-0.5e+10",
        "0", R"("\ud83d\ude00 \u00e9 \" \\ \/ \b\f\n\r\t 世界 😀")", "[[[[1]]]]", R"({"": {}})"}) {
    EXPECT_TRUE(Allows(any, text)) << text;
  }
  for (const char* text : {"",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "tru",
                           "{,}",
                           R"({"a"})",
                           R"({"a":1,})",
                           "[1,]",
                           "[ 1]",
                           "[1 ]",
                           "{\n}",
                           " 1",
                           "1 ",
                           R"({"a":  1})",
                           R"("\x")",
                           R"("\ud83d")",
                           R"("\ude00")",
                           "\"\xC3\"",
                           "\"\xED\xA0\x80\"",
                           "\"\n\"",
                           "\"\xC0\xAF\"",
                           "[1][2]",
                           "nullnull"}) {
    EXPECT_FALSE(Allows(any, text)) << text;
  }
}

TEST(JsonGrammar, PropertiesComeInTheirOrderAndOptionalOnesMayBeMissing) {
  const std::string schema = R"({"type":"object","properties":{"a":{"type":"integer"},
      "b":{"type":"integer"},"c":{"type":"integer"},"d":{"type":"integer"}},"required":["b"]})";
  for (const char* text : {R"({"b":1})", R"({"a":1,"b":2})", R"({"b":1,"c":2})", R"({"b":1,"d":2})",
                           R"({"a": 1, "b": 2, "c": 3, "d": 4})"}) {
    EXPECT_TRUE(Allows(schema, text)) << text;
  }
  for (const char* text :
       {"{}", R"({"a":1})", R"({"c":1})", R"({"b":1,"a":2})", R"({"a":1,"c":3})",
        R"({"b":1,"b":1})", R"({"b":1,"e":1})", R"({"b":1,})", R"({"a":1,,"b":1})"}) {
    EXPECT_FALSE(Allows(schema, text)) << text;
  }
}

TEST(JsonGrammar, AdditionalKeysAreNoneOfTheOthers) {
  const std::string schema = R"({"properties":{"name":{"type":"integer"},"é":{"type":"integer"}},
      "additionalProperties":{"type":"null"}})";
  for (const char* text : {"{}", R"({"nam":null})", R"({"names":null})", R"({"name":1,"n":null})",
                           R"({"name":1,"é":2,"è":null,"":null})", R"({"éé":null})"}) {
    EXPECT_TRUE(Allows(schema, text)) << text;
  }
  for (const char* text : {R"({"name":null})", R"({"é":null})", R"({"x":null,"name":null})",
                           R"({"x":null,"name":1})", R"({"n\u0061me":null})", R"({"x":1})"}) {
    EXPECT_FALSE(Allows(schema, text)) << text;
  }
}

TEST(JsonGrammar, IntegersWithinBounds) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    const int spread = round % 2 == 0 ? 30 : 2000;
    const int low = random.Integer(-spread, spread);
    const int high = random.Integer(low, low + spread);
    Result<grammar::Network> network = grammar::CompileSchema(
        fmt::format(R"({{"type":"integer","minimum":{},"maximum":{}}})", low, high));
    ASSERT_TRUE(network.ok());
    const int32_t end = EndToken(Joined());
    const Matcher matcher(std::move(network).value(),
                          TokenIndex::Create(Joined(), {&end, 1}).value());
    for (int i = low - 120; i <= high + 120; ++i) {
      EXPECT_EQ(Matcher::MayEnd(matcher.Advance(matcher.start(), std::to_string(i))),
                low <= i && i <= high)
          << i << " in " << low << ".." << high;
    }
  }
}

TEST(JsonGrammar, DecimalsWithinBounds) {
  TestRandom random;
  for (int round = 0; round < 60; ++round) {
    const int low = random.Integer(-300, 300), high = random.Integer(low, low + 400);
    const bool open_low = random.Integer(0, 1) == 1, open_high = random.Integer(0, 1) == 1;
    if (low == high && (open_low || open_high)) continue;
    const auto decimal = [](int hundredths, int digits) {
      return fmt::format("{}{}.{:0{}}", hundredths < 0 ? "-" : "", std::abs(hundredths) / 100,
                         std::abs(hundredths) % 100 / (digits == 1 ? 10 : 1), digits);
    };
    Result<grammar::Network> network = grammar::CompileSchema(fmt::format(
        R"({{"type":"number","{}":{},"{}":{}}})", open_low ? "exclusiveMinimum" : "minimum",
        decimal(low, 2), open_high ? "exclusiveMaximum" : "maximum", decimal(high, 2)));
    ASSERT_TRUE(network.ok()) << network.status().message();
    const int32_t end = EndToken(Joined());
    const Matcher matcher(std::move(network).value(),
                          TokenIndex::Create(Joined(), {&end, 1}).value());
    const auto allows = [&](const std::string& text) {
      return Matcher::MayEnd(matcher.Advance(matcher.start(), text));
    };
    for (int i = low - 30; i <= high + 30; ++i) {
      const bool expected = (open_low ? low < i : low <= i) && (open_high ? i < high : i <= high);
      EXPECT_EQ(allows(decimal(i, 2)), expected) << decimal(i, 2) << " " << low << " " << high;
      EXPECT_EQ(allows(decimal(i, 2) + "0"), expected)
          << decimal(i, 2) << " " << low << " " << high;
      if (i % 10 == 0) {
        EXPECT_EQ(allows(decimal(i, 1)), expected) << decimal(i, 1);
      }
      if (i % 100 == 0) {
        EXPECT_EQ(allows(std::to_string(i / 100)), expected) << i / 100;
      }
      if (i == 0) continue;
      // A little farther from zero.
      const bool more = i > 0 ? low <= i && i < high : low < i && i <= high;
      EXPECT_EQ(allows(decimal(i, 2) + "1"), more) << decimal(i, 2) << "1 " << low << " " << high;
    }
  }
}

TEST(JsonGrammar, FormatsAreWhatTheySay) {
  const auto allows = [](const char* format, const std::string& text) {
    return Allows(fmt::format(R"({{"type":"string","format":"{}"}})", format), "\"" + text + "\"");
  };
  EXPECT_TRUE(allows("date", "2026-11-30"));
  EXPECT_FALSE(allows("date", "2026-11-31"));
  EXPECT_FALSE(allows("date", "2026-02-29"));
  EXPECT_FALSE(allows("date", "2026-13-01"));
  EXPECT_TRUE(allows("date-time", "2026-11-30T23:59:59.123Z"));
  EXPECT_FALSE(allows("date-time", "2026-11-30"));
  EXPECT_TRUE(allows("time", "00:00:00+02:00"));
  EXPECT_TRUE(allows("uuid", "123e4567-e89b-12d3-a456-426614174000"));
  EXPECT_TRUE(allows("ipv4", "255.0.10.99"));
  EXPECT_FALSE(allows("ipv4", "256.0.0.1"));
  EXPECT_TRUE(allows("email", "jo.doe@example-site.org"));
  EXPECT_FALSE(allows("email", "jo@doe"));
}

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

// Every position that any text leads to lets at least one token through, and only tokens after
// which it can go on.
TEST(JsonGrammar, MasksAreExactlyTheTokensThatCanBeTaken) {
  const int32_t end = EndToken(Joined());
  const auto index = TokenIndex::Create(Joined(), {&end, 1}).value();
  TestRandom random;
  for (const char* schema : kSchemas) {
    const Matcher matcher(grammar::CompileSchema(schema).value(), index);
    Position position = matcher.start();
    for (int step = 0; step < 60; ++step) {
      const auto mask = matcher.Mask(position);
      std::vector<int32_t> allowed;
      for (int32_t token = 0; token < Joined().size(); ++token) {
        const bool bit = ((*mask)[static_cast<size_t>(token) / 64] >> (token % 64) & 1) != 0;
        const bool possible = token == end
                                  ? Matcher::MayEnd(position)
                                  : !matcher.Advance(position, Joined().TokenBytes(token)).empty();
        ASSERT_EQ(bit, possible) << schema << " token " << Joined().TokenBytes(token);
        if (bit && token != end) allowed.push_back(token);
      }
      if (allowed.empty()) {
        EXPECT_TRUE(Matcher::MayEnd(position)) << schema;
        break;
      }
      const int choice = random.Integer(0, static_cast<int>(allowed.size()) - 1);
      position =
          matcher.Advance(position, Joined().TokenBytes(allowed[static_cast<size_t>(choice)]));
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
  for (const char* keyword : {"if", "patternProperties", "multipleOf", "uniqueItems", "contains",
                              "minProperties", "propertyNames", "dependentRequired", "nonsense"}) {
    EXPECT_THAT(Refusal(fmt::format(R"({{"items":{{"{}":true}}}})", keyword)),
                HasSubstr(fmt::format("#/items: keyword \"{}\" is not supported", keyword)));
  }
  EXPECT_THAT(Refusal(R"({"format":"uri"})"), HasSubstr("format \"uri\" is not supported"));
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
}

}  // namespace
}  // namespace fastvlm
