// describe --json-schema with the bundled model: what it writes parses and follows the schema.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "program.h"
#include "support/schema_checker.h"

namespace fastvlm {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

const std::string kSamples = std::string(FASTVLM_SOURCE_DIR) + "/models/nano/samples/";
const char* const kSchema = R"({"type": "object",
  "properties": {
    "caption": {"type": "string", "minLength": 1, "maxLength": 60},
    "objects": {"type": "array", "items": {"type": "string", "maxLength": 12}, "maxItems": 3},
    "count": {"type": "integer", "minimum": 0, "maximum": 9},
    "sure": {"type": "boolean"}},
  "required": ["caption", "objects", "count", "sure"], "additionalProperties": false})";

ProgramResult DescribeQuietly(std::vector<std::string> more) {
  std::vector<std::string> arguments = {"describe", "--quiet"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Fastvlm(arguments);
}

void ExpectFollows(const std::string& schema, const std::string& text) {
  const Json value = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  ASSERT_FALSE(value.is_discarded()) << text;
  EXPECT_EQ(SchemaChecker(Json::parse(schema)).Check(value), "") << text;
}

TEST(JsonSchema, TheMostLikelyAnswerFollowsIt) {
  const ProgramResult result = DescribeQuietly({"--json-schema", kSchema, kSamples + "demo.png"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  ExpectFollows(kSchema, result.out);
}

TEST(JsonSchema, EverySampledAnswerFollowsIt) {
  for (int seed = 0; seed < 3; ++seed) {
    const ProgramResult result = DescribeQuietly(
        {"--json", "--json-schema", kSchema, "--temperature", "1", "--top-k", "0", "--seed",
         std::to_string(seed), "--max-tokens", "400", kSamples + "demo.png"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json answer = Json::parse(result.out);
    EXPECT_EQ(answer["finish_reason"], "stop");
    ExpectFollows(kSchema, answer["text"]);
  }
}

TEST(JsonSchema, IsReadFromAFileToo) {
  const ScratchDirectory scratch;
  const std::string schema = R"({"enum": ["yes", "no"]})";
  const std::string path = scratch.Write("answer.schema.json", schema);
  const ProgramResult result = DescribeQuietly(
      {"--json-schema", path, "--prompt", "Is there a dog?", kSamples + "demo.png"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(result.out == "\"yes\"\n" || result.out == "\"no\"\n") << result.out;
}

TEST(JsonSchema, MistakesAreExplained) {
  ProgramResult result =
      DescribeQuietly({"--json-schema", R"({"not": {}})", kSamples + "demo.png"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("keyword \"not\" is not supported"));
  EXPECT_EQ(result.out, "");
  result = DescribeQuietly({"--json-schema", "/no/such.json", kSamples + "demo.png"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("/no/such.json"));
  result = DescribeQuietly({"--json-schema", "{", kSamples + "demo.png"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("not valid JSON"));
}

}  // namespace
}  // namespace fastvlm
