#include "text/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

// A directory with copies of the small tokenizer's files, to be damaged.
class VocabularyTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = ::testing::TempDir() + "fastvlm_vocabulary_test_" + std::to_string(getpid());
    std::filesystem::create_directories(directory_);
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  void CopyGolden(const std::string& form) {
    using enum std::filesystem::copy_options;
    const auto options = overwrite_existing | recursive;
    std::filesystem::copy(FASTVLM_SOURCE_DIR "/tests/golden/text/" + form, directory_, options);
  }
  void Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << text;
  }
  std::string Read(const std::string& name) {
    return ReadTextFile(directory_ + "/" + name, kMaxVocabularyBytes).value();
  }
  // Applies `change` to the good tokenizer.json.
  void ChangeJson(const std::function<void(json&)>& change) {
    CopyGolden("json");
    json root = json::parse(Read("tokenizer.json"));
    change(root);
    Write("tokenizer.json", root.dump());
  }
  // A tokenizer.json of a few kilobytes, so that a test can damage it at every byte: all 256 bytes
  // and the first four merges, whose tokens have the ids that follow.
  void WriteSmallJson() {
    ChangeJson([](json& root) {
      json vocabulary, merges;
      for (const auto& [token, id] : root["model"]["vocab"].items()) {
        if (id < 260) vocabulary[token] = id;
      }
      for (size_t i = 0; i < 4; ++i) merges.push_back(root["model"]["merges"][i]);
      root["model"]["vocab"] = vocabulary;
      root["model"]["merges"] = merges;
    });
  }
  Tokenizer Load() {
    Result<Tokenizer> tokenizer = Tokenizer::Load(directory_);
    EXPECT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    return *std::move(tokenizer);
  }
  void ExpectError(StatusCode code, const std::string& part) {
    const Status status = Tokenizer::Load(directory_).status();
    EXPECT_EQ(status.code(), code) << status.message();
    EXPECT_THAT(status.message(), HasSubstr(part));
    EXPECT_THAT(status.message(), HasSubstr(directory_));
    EXPECT_LT(status.message().size(), 1000u);
  }

  std::string directory_;
};

TEST_F(VocabularyTest, MissingFilesAreNamed) {
  ExpectError(StatusCode::kNotFound, "tokenizer.json (not there)");
  CopyGolden("files");
  std::filesystem::remove(directory_ + "/merges.txt");
  ExpectError(StatusCode::kNotFound, "vocab.json (there) with merges.txt (not there)");
  std::filesystem::remove_all(directory_);
  ExpectError(StatusCode::kNotFound, "expected a directory");
}

TEST_F(VocabularyTest, AddedTokensJsonAloneMakesSpecialTokens) {
  CopyGolden("files");
  std::filesystem::remove(directory_ + "/tokenizer_config.json");
  const Tokenizer tokenizer = Load();
  EXPECT_TRUE(tokenizer.IsSpecial(tokenizer.TokenId("<|im_end|>").value()));
  EXPECT_TRUE(tokenizer.IsSpecial(tokenizer.TokenId("<tool_call>").value()));
  EXPECT_EQ(tokenizer.size(), 2267);
}

TEST_F(VocabularyTest, SpecialTokensMapSaysWhichAreSpecial) {
  CopyGolden("files");
  Write("tokenizer_config.json", R"({"eos_token": "<|im_end|>", "pad_token": null})");
  Write("special_tokens_map.json", R"({"additional_special_tokens": ["<|im_start|>"],
        "bos_token": {"content": "<|endoftext|>", "lstrip": false}})");
  const Tokenizer tokenizer = Load();
  for (const char* content : {"<|im_end|>", "<|im_start|>", "<|endoftext|>"}) {
    EXPECT_TRUE(tokenizer.IsSpecial(tokenizer.TokenId(content).value())) << content;
  }
  EXPECT_FALSE(tokenizer.IsSpecial(tokenizer.TokenId("<tool_call>").value()));
}

TEST_F(VocabularyTest, NoAddedTokensAtAll) {
  CopyGolden("files");
  std::filesystem::remove(directory_ + "/tokenizer_config.json");
  std::filesystem::remove(directory_ + "/added_tokens.json");
  EXPECT_EQ(Load().size(), 2256);
}

TEST_F(VocabularyTest, ConfigAddsTokensToTokenizerJson) {
  CopyGolden("json");
  Write("tokenizer_config.json",
        R"({"added_tokens_decoder": {"2300": {"content": "<new>", "special": true}}})");
  const Tokenizer tokenizer = Load();
  EXPECT_EQ(tokenizer.size(), 2301);
  EXPECT_EQ(tokenizer.Encode("<new>"), std::vector<int32_t>{2300});
}

TEST_F(VocabularyTest, WindowsLineEndsInMerges) {
  CopyGolden("files");
  std::string text;
  for (const char c : Read("merges.txt"))
    text += c == '\n' ? std::string("\r\n") : std::string(1, c);
  const std::vector<int32_t> expected = Load().Encode("The photo shows a red bicycle");
  Write("merges.txt", text);
  EXPECT_EQ(Load().Encode("The photo shows a red bicycle"), expected);
}

TEST_F(VocabularyTest, OldMergesAsStrings) {
  CopyGolden("json");
  const std::vector<int32_t> expected = Load().Encode("The photo shows a red bicycle");
  ChangeJson([](json& root) {
    for (json& merge : root["model"]["merges"]) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
  });
  EXPECT_EQ(Load().Encode("The photo shows a red bicycle"), expected);
}

TEST_F(VocabularyTest, EveryTruncationOfTokenizerJsonIsAnError) {
  WriteSmallJson();
  Load();
  const std::string whole = Read("tokenizer.json");
  for (size_t size = 0; size < whole.size() && !HasFailure(); ++size) {
    Write("tokenizer.json", whole.substr(0, size));
    ExpectError(StatusCode::kDataError, "not valid JSON at byte");
  }
}

TEST_F(VocabularyTest, TruncatedVocabularyOrMergesAreAnError) {
  CopyGolden("files");
  const std::string vocab = Read("vocab.json");
  Write("vocab.json", vocab.substr(0, vocab.size() / 2));
  ExpectError(StatusCode::kDataError, "vocab.json: not valid JSON");
  Write("vocab.json", vocab);
  const std::string merges = Read("merges.txt");
  Write("merges.txt", merges.substr(0, merges.rfind(' ')));
  ExpectError(StatusCode::kDataError, "merges.txt: merge 2001: expected two tokens");
}

TEST_F(VocabularyTest, BrokenJson) {
  for (const char* text : {"", "{", "{\"a\" 1}", "\xFF\xFE{}", "{\"model\": \"\xC0\"}", "{}x"}) {
    Write("tokenizer.json", text);
    ExpectError(StatusCode::kDataError, "not valid JSON");
  }
  Write("tokenizer.json", "{\"a\": 1e999}");
  ExpectError(StatusCode::kDataError, "not valid JSON");
  for (const char* text : {"[]", "3", "\"text\"", "null"}) {
    Write("tokenizer.json", text);
    ExpectError(StatusCode::kDataError, "expected a JSON object");
  }
}

TEST_F(VocabularyTest, LimitsOfSizeAndNesting) {
  Write("tokenizer.json", "{\"a\": " + std::string(1000000, '['));
  ExpectError(StatusCode::kResourceExhausted, "nested deeper than the limit of 64");
  Write("tokenizer.json", std::string(kMaxVocabularyBytes + 1, ' '));
  ExpectError(StatusCode::kResourceExhausted, "more than the limit of");
  std::string values = "{\"a\": [0";
  for (size_t i = 0; i < kMaxJsonValues; ++i) values += ",0";
  Write("tokenizer.json", values + "]}");
  ExpectError(StatusCode::kResourceExhausted, "more than the limit of 4194304 JSON values");
  json tokens = json::array();
  for (int i = 0; i < 65537; ++i) tokens.push_back({{"id", 3000 + i}, {"content", "x"}});
  ChangeJson([&](json& root) { root["added_tokens"] = tokens; });
  ExpectError(StatusCode::kResourceExhausted, "65537 added tokens");
}

TEST_F(VocabularyTest, BracketsInStringsAreNotNesting) {
  ChangeJson([](json& root) { root["note"] = std::string(1000, '[') + "\\\"" + "{{"; });
  Load();
}

TEST_F(VocabularyTest, IdsOutOfRange) {
  for (const char* id : {"-1", "16777216", "4294967297", "18446744073709551616", "1.5", "\"7\"",
                         "null", "true", "[]", "-9223372036854775808", "18446744073709551615"}) {
    CopyGolden("files");
    Write("vocab.json", std::string("{\"a\": 0, \"b\": ") + id + "}");
    ExpectError(StatusCode::kDataError, "vocab.json: token \"b\": expected an");
    CopyGolden("files");
    Write("added_tokens.json", std::string("{\"<x>\": ") + id + "}");
    ExpectError(StatusCode::kDataError, "added_tokens.json: token \"<x>\": expected an");
  }
  for (const char* id : {"-1", "16777216", "99999999999999999999", "", "7x", " 7"}) {
    CopyGolden("files");
    Write("tokenizer_config.json",
          std::string("{\"added_tokens_decoder\": {\"") + id + "\": {\"content\": \"<x>\"}}}");
    ExpectError(StatusCode::kDataError, "tokenizer_config.json: token \"added_tokens_decoder.");
  }
}

TEST_F(VocabularyTest, WrongTypes) {
  const std::vector<std::pair<std::function<void(json&)>, std::string>> cases = {
      {[](json& root) { root["model"]["vocab"] = json::array(); },
       "model.vocab: expected an object"},
      {[](json& root) { root["model"].erase("vocab"); }, "model.vocab is missing"},
      {[](json& root) { root["model"]["merges"] = 3; }, "model.merges: expected an array"},
      {[](json& root) { root["model"].erase("merges"); }, "model.merges: expected an array"},
      {[](json& root) { root["model"]["merges"][5] = 7; }, "model.merges[5]: expected two tokens"},
      {[](json& root) { root["model"]["merges"][5] = {"a"}; }, "model.merges[5]"},
      {[](json& root) {
         root["model"]["merges"][5] = {"a", 1};
       },
       "model.merges[5]"},
      {[](json& root) { root["model"]["merges"][5] = "a b c"; }, "two tokens separated by one"},
      {[](json& root) { root["model"]["merges"][5] = ""; }, "two tokens separated by one"},
      {[](json& root) {
         root["model"]["merges"][5] = {"zzzz", "a"};
       },
       "merge 5 (\"zzzz\" \"a\")"},
      {[](json& root) { root["added_tokens"] = "x"; }, "added_tokens: expected an array"},
      {[](json& root) { root["added_tokens"][0] = 5; }, "objects with an \"id\""},
      {[](json& root) { root["added_tokens"][0].erase("id"); }, "objects with an \"id\""},
      {[](json& root) { root["added_tokens"][0].erase("content"); }, "string \"content\""},
      {[](json& root) { root["added_tokens"][0]["content"] = ""; }, "1 to 1024 bytes, found 0"},
      {[](json& root) { root["added_tokens"][0]["content"] = std::string(2000, 'x'); },
       "found 2000"},
      {[](json& root) { root["added_tokens"][0]["special"] = "yes"; }, "expected true or false"},
      {[](json& root) { root["added_tokens"][0]["id"] = 0; }, "id 0 belongs to two tokens"},
      {[](json& root) { root["model"]["vocab"].erase("\u0120"); }, "none for byte 0x20"},
  };
  for (const auto& [change, message] : cases) {
    ChangeJson(change);
    ExpectError(StatusCode::kDataError, message);
  }
  CopyGolden("files");
  std::filesystem::remove(directory_ + "/tokenizer.json");
  Write("tokenizer_config.json", R"({"added_tokens_decoder": []})");
  ExpectError(StatusCode::kDataError, "added_tokens_decoder: expected an object");
  Write("tokenizer_config.json", R"({"added_tokens_decoder": {"5": "x"}})");
  ExpectError(StatusCode::kDataError, "expected an object with the string \"content\"");
  Write("tokenizer_config.json", "{}");
  Write("merges.txt", "\xFF\xFE");
  ExpectError(StatusCode::kDataError, "merges.txt: not UTF-8");
}

TEST_F(VocabularyTest, OtherKindsOfTokenizer) {
  const std::vector<std::pair<std::function<void(json&)>, std::string>> cases = {
      {[](json& root) { root["model"]["type"] = "Unigram"; },
       "expected \"BPE\", found \"\"Unigram\""},
      {[](json& root) { root["model"]["type"] = "WordPiece"; }, "model.type"},
      {[](json& root) { root["model"] = 3; }, "model.type"},
      {[](json& root) { root.erase("model"); }, "found \"nothing\""},
      {[](json& root) { root["model"]["ignore_merges"] = true; }, "ignore_merges: expected false"},
      {[](json& root) { root["model"]["byte_fallback"] = true; }, "byte_fallback: expected false"},
      {[](json& root) { root["model"]["dropout"] = 0.1; }, "dropout: expected none"},
      {[](json& root) { root["model"]["end_of_word_suffix"] = "</w>"; }, "end_of_word_suffix"},
      {[](json& root) { root["model"]["continuing_subword_prefix"] = "##"; },
       "continuing_subword_prefix"},
      {[](json& root) { root["normalizer"] = nullptr; }, "normalizer: expected NFC"},
      {[](json& root) { root["normalizer"]["type"] = "NFKC"; }, "normalizer: expected NFC"},
      {[](json& root) { root["normalizer"]["type"] = 1; }, "normalizer: expected NFC"},
      {[](json& root) {
         root["pre_tokenizer"] = {{"type", "Whitespace"}};
       },
       "pre_tokenizer"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"].erase(1); }, "pre_tokenizer"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"] = 1; }, "pre_tokenizer"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"][0]["invert"] = true; },
       "pre_tokenizer[0]: expected an isolating Split"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "Removed"; },
       "isolating Split"},
      {[](json& root) {
         root["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "\\p{N}{1,3}";
       },
       "expected Qwen2's regular expression"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"][0]["pattern"] = "x"; },
       "expected Qwen2's regular expression"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true; },
       "pre_tokenizer[1]"},
      {[](json& root) { root["pre_tokenizer"]["pretokenizers"][1].erase("use_regex"); },
       "pre_tokenizer[1]"},
      {[](json& root) { root["decoder"]["type"] = "Metaspace"; }, "decoder: expected ByteLevel"},
      {[](json& root) { root["post_processor"]["type"] = "BertProcessing"; },
       "post_processor: expected one that adds no tokens"},
      {[](json& root) {
         root["post_processor"] = json::parse(
             R"({"type": "TemplateProcessing", "single": [
                 {"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}]})");
       },
       "post_processor: expected one that adds no tokens"},
      {[](json& root) { root["added_tokens"][0]["single_word"] = true; }, "single_word"},
  };
  for (const auto& [change, message] : cases) {
    ChangeJson(change);
    ExpectError(StatusCode::kUnsupported, message);
  }
}

TEST_F(VocabularyTest, OptionsThatChangeNothingAreAccepted) {
  ChangeJson([](json& root) {
    root["post_processor"] = nullptr;
    root["truncation"] = {{"max_length", 4}};
    root["model"].erase("type");
    root["model"]["unk_token"] = "<|endoftext|>";
  });
  EXPECT_GT(Load().Encode("one two three four five six").size(), 4u);
}

TEST_F(VocabularyTest, TemplateThatAddsNothingIsAccepted) {
  ChangeJson([](json& root) {
    root["post_processor"] =
        json::parse(R"({"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A"}}]})");
  });
  EXPECT_GT(Load().Encode("one two three four five six").size(), 4u);
}

// Any single byte changed: an error that names the directory or a working tokenizer, never a crash.
TEST_F(VocabularyTest, FlippedBytes) {
  WriteSmallJson();
  const std::string whole = Read("tokenizer.json");
  int errors = 0;
  for (size_t at = 0; at < whole.size(); ++at) {
    std::string broken = whole;
    broken[at] = static_cast<char>(broken[at] ^ 0x15);
    Write("tokenizer.json", broken);
    const Result<Tokenizer> tokenizer = Tokenizer::Load(directory_);
    if (tokenizer.ok()) {
      tokenizer->Encode("The photo, é <|im_end|>");
    } else {
      EXPECT_THAT(tokenizer.status().message(), HasSubstr(directory_));
      ++errors;
    }
  }
  EXPECT_GT(errors, static_cast<int>(whole.size()) / 4);
}

}  // namespace
}  // namespace fastvlm
