// Random models that may only write what a schema allows, and an independent validator that reads
// what they wrote; and texts that are allowed, or not.
#include "grammar/json_grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "grammar/compiler.h"
#include "grammar/matcher.h"
#include "support/grammar_writer.h"
#include "support/random.h"
#include "support/schema_checker.h"
#include "text/unicode.h"

namespace fastvlm {
namespace {

using grammar::Matcher;
using grammar::Position;
using grammar::TokenIndex;
using Json = nlohmann::json;

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
    R"({"type":"integer","multipleOf":7,"minimum":-50,"maximum":1000})",
    R"({"type":"integer","multipleOf":4})",
    R"({"type":"number","multipleOf":0.5})",
    R"({"type":"number","multipleOf":0.25,"minimum":-3,"exclusiveMaximum":10.25})",
    R"({"type":["number","null"],"multipleOf":3})",
    R"({"type":"array","items":{"enum":["x","y","xy",1]},"uniqueItems":true})",
    R"({"type":"array","items":{"$ref":"#/$defs/k"},"uniqueItems":true,"minItems":2,"maxItems":3,
        "$defs":{"k":{"type":["boolean","null"]}}})",
    R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1})",
    R"({"type":"object","additionalProperties":{"type":"null"},"maxProperties":2})",
    R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
        "minProperties":2})",
    R"({"type":"object","properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
        "required":["b"],"additionalProperties":{"type":"null"},"minProperties":2,
        "maxProperties":4})",
    R"({"type":"object","propertyNames":{"pattern":"^[a-c]{1,2}$"},
        "properties":{"a":{"type":"integer"},"abc":{"type":"integer"}},
        "additionalProperties":{"type":"null"}})",
    R"({"type":"object","propertyNames":{"enum":["a","b"]},"additionalProperties":{"const":1}})",
    R"({"type":"object","propertyNames":{"minLength":2,"maxLength":3},
        "properties":{"ab":{"type":"integer"}},"additionalProperties":{"type":"null"},
        "minProperties":1})",
    R"({"type":"string","pattern":"^(?!a)(?!.*bb)[ab]{2,5}$"})",
    R"({"type":"string","format":"email","pattern":"^[a-z]+@x\\.org$","maxLength":12})",
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

}  // namespace
}  // namespace fastvlm
