// Keywords as the tools write them that make schemas from types: what they allow and what they
// refuse.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "grammar/compiler.h"
#include "support/grammar_writer.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;

std::string RefusalOf(const std::string& schema) {
  const Result<grammar::Network> network = grammar::CompileSchema(schema);
  EXPECT_FALSE(network.ok()) << schema;
  return network.ok() ? "" : network.status().message();
}

void ExpectTexts(const std::string& schema, std::initializer_list<const char*> allowed,
                 std::initializer_list<const char*> refused) {
  for (const char* text : allowed) EXPECT_TRUE(Allows(schema, text)) << schema << " " << text;
  for (const char* text : refused) EXPECT_FALSE(Allows(schema, text)) << schema << " " << text;
}

TEST(SchemaKeywords, NullableAddsNullToTheType) {
  ExpectTexts(R"({"type":"string","nullable":true})", {"null", R"("a")"}, {"1"});
  ExpectTexts(R"({"type":"string","nullable":false})", {R"("a")"}, {"null"});
  ExpectTexts(R"({"type":"string","enum":["a",null],"nullable":true})", {"null", R"("a")"},
              {R"("b")"});
  ExpectTexts(R"({"type":"string","enum":["a"],"nullable":true})", {R"("a")"}, {"null"});
  ExpectTexts(R"({"allOf":[{"type":"string"}],"nullable":true})", {R"("a")"}, {"null"});
  EXPECT_THAT(RefusalOf(R"({"nullable":1})"), HasSubstr("true or false"));
}

TEST(SchemaKeywords, AnnotationsDemandNothing) {
  ExpectTexts(R"({"type":"integer","example":3,"x-order":1,"discriminator":{"propertyName":"k"},
                  "xml":{},"id":"Count","format":"int64"})",
              {"5"}, {R"("a")"});
}

TEST(SchemaKeywords, UnknownFormatsAreAnnotations) {
  ExpectTexts(R"({"type":"string","format":"color","maxLength":3})", {R"("red")", R"("")"},
              {R"("green")", "1"});
}

TEST(SchemaKeywords, AddressesAndDurations) {
  ExpectTexts(R"({"format":"uri","minLength":1,"maxLength":2083})",
              {R"("https://example.org")", R"("http://a-b.example.org/x/y.png?q=1&r=2")"},
              {R"("example.org")", R"("https://")", R"("https://1.2.3.4")", R"("https://a b.org")",
               R"("https://a.org/ ")"});
  ExpectTexts(R"({"format":"duration"})",
              {R"("P1D")", R"("PT5M")", R"("P1DT2H30M5S")", R"("P3W")", R"("P1Y2M")"},
              {R"("P")", R"("PT")", R"("P1DT")", R"("1D")", R"("PT5")", R"("P1H")"});
}

TEST(SchemaKeywords, APatternBesideAFormatIsGuaranteed) {
  ExpectTexts(R"({"type":"string","format":"date","pattern":"^20\\d\\d-\\d\\d-01$"})",
              {R"("2026-11-01")"}, {R"("2026-11-02")", R"("1999-11-01")"});
}

TEST(SchemaKeywords, APatternMayBeginWithWhatItRefuses) {
  // No dot at the beginning, and no two in a row.
  ExpectTexts(R"x({"pattern":"^(?!\\.)(?!.*\\.\\.)[a-z.]*[a-z]@b\\.org$"})x",
              {R"("a@b.org")", R"("a.c.d@b.org")"}, {R"(".a@b.org")", R"("a..c@b.org")"});
  // A length that is too large to count becomes a smaller one.
  ExpectTexts(R"x({"pattern":"^(?!.*\\.\\.)[a-z.]*[a-z]@([a-z]+-)*([a-z]+\\.)+[a-z]{2,20}$",
                  "maxLength":4000})x",
              {R"("a@b.org")"}, {R"("a..c@b.org")"});
  ExpectTexts(R"({"format":"email","maxLength":100})", {R"("jo@example.org")"}, {R"("jo")"});
  // A decimal number with at least one digit.
  ExpectTexts(R"x({"pattern":"^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"})x",
              {R"("1")", R"("-0.5")", R"(".5")", R"("+12.")"}, {R"("")", R"("+")", R"("-.")"});
  ExpectTexts(R"x({"pattern":"^(?!ab|c$)[a-d]*$","maxLength":3})x",
              {R"("a")", R"("ad")", R"("cc")", R"("")"}, {R"("ab")", R"("abc")", R"("c")"});
  ExpectTexts(R"x({"pattern":"^(?!\\n|[^x])[\\nax]*$"})x", {R"("xa")"}, {R"("\na")", R"("a")"});
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^(?!a)b|c$"})x"), HasSubstr("no alternatives"));
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^a(?!b)"})x"), HasSubstr("at the beginning"));
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^(?!(?!b))a"})x"), HasSubstr("only \"(?:\""));
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^(?!a"})x"), HasSubstr("not closed"));
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^(?!a)*a"})x"), HasSubstr("nothing to repeat"));
  EXPECT_THAT(RefusalOf(R"x({"pattern":"^(?!a)a"})x"), HasSubstr("no value follows it"));
}

TEST(SchemaKeywords, MultiplesOfIntegers) {
  for (const int divisor : {1, 2, 7, 10, 64, 999}) {
    const std::string schema = fmt::format(
        R"({{"type":"integer","multipleOf":{},"minimum":-70,"maximum":2100}})", divisor);
    const int32_t end = EndToken(Joined());
    const grammar::Matcher matcher(grammar::CompileSchema(schema).value(),
                                   grammar::TokenIndex::Create(Joined(), {&end, 1}).value());
    for (int i = -150; i <= 2200; ++i) {
      EXPECT_EQ(grammar::Matcher::MayEnd(matcher.Advance(matcher.start(), std::to_string(i))),
                i % divisor == 0 && i >= -70 && i <= 2100)
          << i << " " << divisor;
    }
  }
  ExpectTexts(R"({"type":"integer","multipleOf":1000})", {"0", "5000", "-123000"}, {"500", "1"});
  ExpectTexts(R"({"type":"integer","multipleOf":2.5})", {"0", "5", "10"}, {"2", "2.5"});
  EXPECT_THAT(RefusalOf(R"({"type":"integer","multipleOf":1001})"), HasSubstr("\"multipleOf\""));
  EXPECT_THAT(RefusalOf(R"({"type":"integer","multipleOf":1e300})"), HasSubstr("\"multipleOf\""));
  EXPECT_THAT(RefusalOf(R"({"type":"number","multipleOf":1e-300})"), HasSubstr("\"multipleOf\""));
  EXPECT_THAT(RefusalOf(R"({"type":"integer","multipleOf":0})"), HasSubstr("a number above 0"));
  EXPECT_THAT(RefusalOf(R"({"type":"integer","multipleOf":7,"minimum":1,"maximum":6})"),
              HasSubstr("no value follows it"));
}

TEST(SchemaKeywords, MultiplesOfDecimals) {
  ExpectTexts(R"({"type":"number","multipleOf":0.5,"minimum":0,"maximum":5})",
              {"0", "0.5", "1.0", "4.5", "5"}, {"0.25", "5.5", "-0.5", "0.50", "5e-1", "1.1"});
  ExpectTexts(R"({"type":"number","multipleOf":0.01})", {"0.01", "-19.99", "3", "2.5"},
              {"0.001", "1e2", "0.010"});
  ExpectTexts(R"({"multipleOf":0.25})", {"0.25", "1.5", "1.50", "7"}, {"0.1", "1.05", "true"});
  ExpectTexts(R"({"type":"number","multipleOf":5})", {"0", "15"}, {"3", "5.0", "0.5"});
  ExpectTexts(R"({"type":"number","multipleOf":1e-5})", {"0.00001"}, {"0.000001"});
}

TEST(SchemaKeywords, UniqueItemsAreNeverWrittenTwice) {
  ExpectTexts(R"({"type":"array","items":{"enum":["x","y","z"]},"uniqueItems":true})",
              {"[]", R"(["y"])", R"(["z","x"])", R"(["z", "x", "y"])"},
              {R"(["x","x"])", R"(["x","y","x"])", R"(["a"])", R"(["x","y","z",])"});
  ExpectTexts(R"({"items":{"type":"boolean"},"uniqueItems":true,"minItems":1,"maxItems":1})",
              {"[true]"}, {"[]", "[true,false]"});
  ExpectTexts(R"({"items":{"anyOf":[{"const":"a"},{"const":"b"},{"type":"null"}]},
                  "uniqueItems":true,"minItems":2,"maxItems":2})",
              {R"(["a","b"])", R"([null,"a"])"}, {R"(["a","a"])", R"(["a"])", R"(["a","b",null])"});
  // Equal numbers are one value, however they are spelled.
  ExpectTexts(R"({"items":{"enum":[1,1.0,2]},"uniqueItems":true})", {"[1,2]"}, {"[1,1.0]"});
  ExpectTexts(R"({"items":{"type":"string"},"uniqueItems":true,"maxItems":1})", {R"(["a"])", "[]"},
              {R"(["a","b"])"});
  ExpectTexts(R"({"items":{"type":"string"},"uniqueItems":false})", {R"(["a","a"])"}, {});
  EXPECT_THAT(RefusalOf(R"({"items":{"type":"string"},"uniqueItems":true})"),
              HasSubstr("#: keyword \"uniqueItems\" is supported only for"));
  EXPECT_THAT(RefusalOf(R"({"items":{"enum":[1,2,3,4,5,6,7,8,9,10,11,12]},"uniqueItems":true})"),
              HasSubstr("keyword \"uniqueItems\" over 12 values"));
  EXPECT_THAT(RefusalOf(R"({"prefixItems":[{"const":1}],"uniqueItems":true})"),
              HasSubstr("keyword \"uniqueItems\""));
  EXPECT_THAT(RefusalOf(R"({"items":{"enum":[1,2]},"uniqueItems":true,"minItems":3})"),
              HasSubstr("no value follows it"));
  ExpectTexts(R"({"items":{"enum":[1,2,3,4,5,6,7,8,9,10,11,12]},"uniqueItems":true,"maxItems":2})",
              {"[12,1]"}, {"[12,12]", "[1,2,3]"});
}

TEST(SchemaKeywords, NamesOfProperties) {
  ExpectTexts(R"({"propertyNames":{"type":"string"},"additionalProperties":{"type":"integer"}})",
              {"{}", R"({"a":1,"b c":2})"}, {R"({"a":"b"})"});
  ExpectTexts(R"({"propertyNames":{"enum":["a","b"]},"additionalProperties":{"type":"integer"}})",
              {"{}", R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
              {R"({"c":1})", R"({"a":1,"a":2})"});
  ExpectTexts(R"({"propertyNames":{"pattern":"^[a-z]{1,3}$"},"properties":{"ab":{"const":1}},
                  "additionalProperties":{"const":2}})",
              {R"({"ab":1,"abc":2})", R"({"x":2})", R"({"aa":2})"},
              {R"({"ab":2})", R"({"x1":2})", R"({"":2})", R"({"abcd":2})"});
  ExpectTexts(R"({"propertyNames":{"maxLength":1},"properties":{"a":{"const":1},"bb":{"const":2}},
                  "additionalProperties":false})",
              {"{}", R"({"a":1})"}, {R"({"bb":2})"});
  ExpectTexts(R"({"propertyNames":{"minLength":2}})", {R"({"ab":1})", "{}"}, {R"({"a":1})"});
  ExpectTexts(R"({"propertyNames":false})", {"{}"}, {R"({"a":1})"});
  ExpectTexts(R"({"propertyNames":{"type":"null"}})", {"{}"}, {R"({"a":1})"});
  EXPECT_THAT(RefusalOf(R"({"propertyNames":{"maxLength":1},"required":["ab"]})"),
              HasSubstr("no value follows it"));
  EXPECT_THAT(RefusalOf(R"({"propertyNames":{"anyOf":[{"maxLength":2},{"pattern":"a"}]}})"),
              HasSubstr("keyword \"propertyNames\" with \"anyOf\""));
  EXPECT_THAT(RefusalOf(R"({"propertyNames":{"not":{"const":"a"}}})"),
              HasSubstr("#/propertyNames: keyword \"not\""));
}

TEST(SchemaKeywords, NumbersOfProperties) {
  ExpectTexts(R"({"minProperties":1,"additionalProperties":{"type":"integer"}})",
              {R"({"a":1})", R"({"a":1,"b":2,"c":3})"}, {"{}", R"({"a":"b"})"});
  ExpectTexts(R"({"maxProperties":2,"additionalProperties":{"type":"integer"}})",
              {"{}", R"({"a":1})", R"({"a":1,"b":2})"}, {R"({"a":1,"b":2,"c":3})"});
  ExpectTexts(R"({"properties":{"a":{"const":1},"b":{"const":2},"c":{"const":3}},
                  "minProperties":1,"maxProperties":2})",
              {R"({"a":1})", R"({"c":3})", R"({"a":1,"b":2})", R"({"b":2,"c":3})"},
              {"{}", R"({"a":1,"b":2,"c":3})", R"({"b":2,"a":1})", R"({"a":1,"d":1})"});
  ExpectTexts(R"({"properties":{"a":{"const":1},"b":{"const":2}},"required":["b"],
                  "minProperties":2,"additionalProperties":{"type":"null"}})",
              {R"({"a":1,"b":2})", R"({"b":2,"x":null})", R"({"a":1,"b":2,"x":null,"y":null})"},
              {R"({"b":2})", R"({"a":1,"x":null})", R"({"x":null,"y":null})"});
  ExpectTexts(R"({"properties":{"a":{"const":1}},"minProperties":0,"maxProperties":5})",
              {"{}", R"({"a":1})"}, {});
  // A key that comes twice would be one property.
  EXPECT_THAT(RefusalOf(R"({"minProperties":2,"additionalProperties":{"type":"integer"}})"),
              HasSubstr("keyword \"minProperties\" of 2 is not supported"));
  EXPECT_THAT(RefusalOf(R"({"maxProperties":0,"required":["a"]})"),
              HasSubstr("no value follows it"));
  EXPECT_THAT(RefusalOf(R"({"properties":{"a":{}},"minProperties":2})"),
              HasSubstr("no value follows it"));
  EXPECT_THAT(RefusalOf(R"({"maxProperties":1,"minProperties":2,"properties":{"a":{},"b":{}}})"),
              HasSubstr("no value follows it"));
  std::string many = R"({"minProperties":100,"properties":{"p":{})";
  for (int i = 0; i < 200; ++i) many += fmt::format(R"(,"p{}":{{}})", i);
  EXPECT_THAT(RefusalOf(many + "}}"), HasSubstr("too many cases to count"));
  ExpectTexts(R"({"allOf":[{"minProperties":1},{"maxProperties":1,"properties":{"a":{"const":1},
                  "b":{"const":2}}}]})",
              {R"({"a":1})", R"({"b":2})"}, {"{}", R"({"a":1,"b":2})"});
}

TEST(SchemaKeywords, ConditionsAreRefusedByName) {
  EXPECT_THAT(RefusalOf(R"({"type":"object","then":{},"if":{}})"), HasSubstr("\"then\""));
}

}  // namespace
}  // namespace fastvlm
