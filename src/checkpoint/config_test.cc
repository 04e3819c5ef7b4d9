#include "checkpoint/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "support/tiny_checkpoint.h"

namespace fastvlm {
namespace {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A directory with the config of a small valid model, for a test to change.
class ConfigTest : public ::testing::Test {
 protected:
  // A model of three stages: 16 pixels per token.
  static ModelConfig EncoderConfig(const std::string& layout) {
    ModelConfig config;
    config.layout = layout;
    config.vision.stages.resize(3);
    config.vision.feature_channels = TinyModel().features;
    return config;
  }

  Status Read(const json& config) {
    read_ = EncoderConfig(config.value("model_type", "") == "fast_vlm" ? "fast_vlm" : "apple");
    warnings_.clear();
    directory_.Write("config.json", config.dump());
    return ReadConfig(directory_.path(), &read_, &warnings_);
  }

  // Reads the valid config with one field set; `path` as in "/text_config/hidden_act".
  Status ReadWith(const json& valid, const char* path, const json& value) {
    json changed = valid;
    changed[json::json_pointer(path)] = value;
    return Read(changed);
  }

  void ExpectUnsupported(const json& valid, const char* path, const json& value) {
    const Status status = ReadWith(valid, path, value);
    const std::string field = std::string(path).substr(std::string(path).rfind('/') + 1);
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << path << value;
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(directory_.path()), HasSubstr(field), HasSubstr("supported")));
  }

  const json apple_ = json::parse(AppleConfig(TinyModel()));
  const json fast_vlm_ = json::parse(FastVlmConfig(TinyModel()));
  const DecoderConfig& decoder_ = read_.decoder;
  TemporaryDirectory directory_;
  ModelConfig read_;
  std::vector<std::string> warnings_;
};

TEST_F(ConfigTest, EosIdsFromAllPlaces) {
  EXPECT_TRUE(ReadWith(apple_, "/eos_token_id", nullptr).ok());
  EXPECT_THAT(decoder_.eos_ids, IsEmpty());
  EXPECT_TRUE(ReadWith(apple_, "/eos_token_id", {45, 43}).ok());
  EXPECT_THAT(decoder_.eos_ids, ElementsAre(45, 43));
  directory_.Write("generation_config.json", R"({"do_sample": true, "eos_token_id": [45, 7]})");
  EXPECT_TRUE(Read(apple_).ok());
  EXPECT_THAT(decoder_.eos_ids, ElementsAre(45, 7));
  EXPECT_TRUE(ReadWith(fast_vlm_, "/eos_token_id", 3).ok());
  EXPECT_THAT(decoder_.eos_ids, ElementsAre(45, 3, 7));
}

TEST_F(ConfigTest, EosIdsOutsideTheVocabulary) {
  for (const json& id :
       {json(50), json(-1), json("45"), json::array({45, 1e9}), json::array({nullptr})}) {
    const Status status = ReadWith(apple_, "/eos_token_id", id);
    EXPECT_EQ(status.code(), StatusCode::kDataError);
    EXPECT_THAT(status.message(), HasSubstr("eos_token_id must be token ids from 0 to 49"));
  }
  directory_.Write("generation_config.json", R"({"eos_token_id": 50})");
  EXPECT_THAT(Read(apple_).message(), HasSubstr("generation_config.json: eos_token_id"));
}

TEST_F(ConfigTest, RopeThetaOldAndNew) {
  json config = fast_vlm_;
  config["text_config"].erase("rope_theta");
  EXPECT_TRUE(Read(config).ok());
  EXPECT_EQ(decoder_.rope_theta, 10000.0);
  config["text_config"]["rope_parameters"] = {{"rope_theta", 5e5}, {"rope_type", "default"}};
  EXPECT_TRUE(Read(config).ok());
  EXPECT_EQ(decoder_.rope_theta, 5e5);
  EXPECT_TRUE(ReadWith(apple_, "/rope_scaling", nullptr).ok());
  EXPECT_EQ(decoder_.rope_theta, 1e6);
}

TEST_F(ConfigTest, ContextIsTheTrainedLength) {
  EXPECT_TRUE(ReadWith(apple_, "/tokenizer_model_max_length", 100).ok());
  EXPECT_EQ(decoder_.context_tokens, 100);
  EXPECT_TRUE(ReadWith(apple_, "/tokenizer_model_max_length", nullptr).ok());
  EXPECT_EQ(decoder_.context_tokens, 32768);
  EXPECT_TRUE(ReadWith(apple_, "/max_position_embeddings", 64).ok());
  EXPECT_EQ(decoder_.context_tokens, 64);

  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(decoder_.context_tokens, 8192);
  EXPECT_EQ(decoder_.max_positions, 32768);
  directory_.Write("tokenizer_config.json",
                   R"({"model_max_length": 1000000000000000019884624838656})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(decoder_.context_tokens, 8192);
  directory_.Write("tokenizer_config.json", R"({"model_max_length": 2048})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(decoder_.context_tokens, 2048);
}

TEST_F(ConfigTest, TiedIfEitherLevelSaysSo) {
  json config = fast_vlm_;
  EXPECT_TRUE(Read(config).ok());
  EXPECT_TRUE(decoder_.tied_embeddings);
  config["text_config"].erase("tie_word_embeddings");
  EXPECT_TRUE(Read(config).ok());
  EXPECT_FALSE(decoder_.tied_embeddings);
  config["tie_word_embeddings"] = true;
  EXPECT_TRUE(Read(config).ok());
  EXPECT_TRUE(decoder_.tied_embeddings);
}

TEST_F(ConfigTest, HeadDimensionMayBeGiven) {
  EXPECT_TRUE(ReadWith(apple_, "/head_dim", 64).ok());
  EXPECT_EQ(decoder_.head_dim, 64);
  EXPECT_THAT(ReadWith(apple_, "/head_dim", 63).message(), HasSubstr("even"));
}

TEST_F(ConfigTest, AppleImageSizeIsPartOfTheTowersName) {
  EXPECT_TRUE(ReadWith(apple_, "/mm_vision_tower", "mobileclip_l_1024").ok());
  EXPECT_EQ(read_.vision.image_size, 1024);
  for (const char* tower :
       {"", "mobileclip_l", "mobileclip_l_", "mobileclip_l_1024px", "mobileclip_l_-64",
        "openai/clip_336", "mobileclip_99999999999999999999"}) {
    EXPECT_THAT(ReadWith(apple_, "/mm_vision_tower", tower).message(),
                HasSubstr("mm_vision_tower must be mobileclip_<name>_<image size in pixels>"));
  }
  for (const char* tower : {"mobileclip_l_1023", "mobileclip_l_8", "mobileclip_l_16400"}) {
    EXPECT_THAT(ReadWith(apple_, "/mm_vision_tower", tower).message(),
                HasSubstr("expected a multiple of 16"));
  }
}

TEST_F(ConfigTest, FastVlmImageSize) {
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(read_.vision.image_size, 64);
  directory_.Write("processor_config.json", R"({"image_processor": {"size": 256}})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(read_.vision.image_size, 256);
  directory_.Write("preprocessor_config.json",
                   R"({"crop_size": {"height": 512, "width": 512}, "size": {"shortest_edge": 64},
                       "image_mean": [0.0, 0.0, 0.0], "image_std": [1.0, 1.0, 1.0], "resample": 3,
                       "rescale_factor": 0.00392156862745098})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(read_.vision.image_size, 512);
  directory_.Write("preprocessor_config.json", R"({"size": {"shortest_edge": 128}})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
  EXPECT_EQ(read_.vision.image_size, 128);
  EXPECT_THAT(warnings_, IsEmpty());
}

TEST_F(ConfigTest, FastVlmWithoutAnyImageSizeWarns) {
  EXPECT_TRUE(ReadWith(fast_vlm_, "/image_seq_length", nullptr).ok());
  EXPECT_EQ(read_.vision.image_size, 1024);
  EXPECT_THAT(warnings_, SizeIs(1));
  EXPECT_THAT(ReadWith(fast_vlm_, "/image_seq_length", 15).message(), HasSubstr("square number"));
}

TEST_F(ConfigTest, OtherImageProcessorsAreUnsupported) {
  for (const char* processor :
       {R"({"image_mean": [0.48, 0.45, 0.40]})", R"({"image_std": [0.5, 0.5, 0.5]})",
        R"({"rescale_factor": 1.0})", R"({"do_rescale": false})", R"({"resample": 2})",
        R"({"crop_size": {"height": 512, "width": 256}})"}) {
    directory_.Write("preprocessor_config.json", processor);
    const Status status = Read(fast_vlm_);
    EXPECT_EQ(status.code(), StatusCode::kUnsupported) << processor;
    EXPECT_THAT(status.message(), HasSubstr("preprocessor_config.json"));
  }
  directory_.Write("preprocessor_config.json",
                   R"({"do_normalize": false, "image_mean": [0.48, 0.45, 0.40]})");
  EXPECT_TRUE(Read(fast_vlm_).ok());
}

TEST_F(ConfigTest, UnsupportedSettings) {
  ExpectUnsupported(apple_, "/hidden_act", "gelu");
  ExpectUnsupported(apple_, "/use_sliding_window", true);
  ExpectUnsupported(apple_, "/rope_scaling", {{"type", "yarn"}, {"factor", 4.0}});
  ExpectUnsupported(apple_, "/quantization", {{"bits", 4}});
  ExpectUnsupported(apple_, "/mm_projector_type", "linear");
  ExpectUnsupported(apple_, "/mm_projector_type", nullptr);
  ExpectUnsupported(apple_, "/mm_use_im_start_end", true);
  ExpectUnsupported(apple_, "/mm_patch_merge_type", "spatial_unpad");
  ExpectUnsupported(apple_, "/image_aspect_ratio", "anyres");
  ExpectUnsupported(apple_, "/model_type", "llava_llama");
  ExpectUnsupported(fast_vlm_, "/projector_hidden_act", "relu");
  ExpectUnsupported(fast_vlm_, "/multimodal_projector_bias", false);
  ExpectUnsupported(fast_vlm_, "/vision_feature_select_strategy", "default");
  ExpectUnsupported(fast_vlm_, "/vision_feature_layer", -2);
  ExpectUnsupported(fast_vlm_, "/text_config/model_type", "llama");
  ExpectUnsupported(fast_vlm_, "/text_config/rope_parameters", {{"rope_type", "llama3"}});
  ExpectUnsupported(fast_vlm_, "/text_config/layer_types", {"full_attention", "sliding_attention"});
  ExpectUnsupported(fast_vlm_, "/vision_config/architecture", "fastvit_t8");
  ExpectUnsupported(fast_vlm_, "/vision_config/model_args", {{"lkc_use_act", false}});
}

TEST_F(ConfigTest, ImpossibleValues) {
  for (const auto& [field, value, expected] :
       std::vector<std::tuple<const char*, json, const char*>>{
           {"/hidden_size", nullptr,
            "hidden_size must be an integer from 1 to 1048576, found nothing"},
           {"/hidden_size", 0, "hidden_size must be an integer from 1"},
           {"/hidden_size", 28.5, "found 28.5"},
           {"/hidden_size", "28", "found \"28\""},
           {"/vocab_size", 18446744073709551615u, "found 18446744073709551615"},
           {"/num_hidden_layers", 1000000, "num_hidden_layers must be an integer from 1 to 9999"},
           {"/num_attention_heads", 6, "num_attention_heads must be a divisor of hidden_size, 28"},
           {"/num_key_value_heads", 4, "must be a divisor of num_attention_heads, 14"},
           {"/num_key_value_heads", 15, "num_key_value_heads must be an integer from 1 to 14"},
           {"/rope_theta", -1.0, "rope_theta must be a positive number, found -1.0"},
           {"/rms_norm_eps", 0, "rms_norm_eps must be a positive number"},
           {"/tie_word_embeddings", "yes", "tie_word_embeddings must be true or false"},
           {"/hidden_act", 1, "hidden_act must be a string"},
           {"/rope_scaling", 2, "rope_scaling must be an object"},
           {"/mm_hidden_size", 65,
            "mm_hidden_size must be the features of the image encoder, 64"}}) {
    const Status status = ReadWith(apple_, field, value);
    EXPECT_EQ(status.code(), StatusCode::kDataError) << field << value;
    EXPECT_THAT(status.message(),
                AllOf(HasSubstr(directory_.Path("config.json: ")), HasSubstr(expected)));
  }
  EXPECT_THAT(ReadWith(fast_vlm_, "/text_config/vocab_size", nullptr).message(),
              HasSubstr("text_config.vocab_size must be"));
  EXPECT_THAT(ReadWith(fast_vlm_, "/text_config", nullptr).message(),
              HasSubstr("text_config must be an object, found nothing"));
}

TEST_F(ConfigTest, BrokenJson) {
  const auto read_text = [&](std::string_view text) {
    directory_.Write("config.json", text);
    ModelConfig config = EncoderConfig("apple");
    return ReadConfig(directory_.path(), &config, &warnings_);
  };
  for (const std::string& text : {std::string(), std::string("{"), std::string("{\"a\": }"),
                                  std::string("{\"a\": \"\xff\"}"), std::string("{} {}")}) {
    EXPECT_THAT(read_text(text).message(),
                AllOf(HasSubstr(directory_.Path("config.json")), HasSubstr("not valid JSON")));
  }
  EXPECT_THAT(read_text("[1]").message(), HasSubstr("expected a JSON object, found array"));
  EXPECT_THAT(read_text(fmt::format(R"({{"a":{})", std::string(100'000, '['))).message(),
              HasSubstr("nested deeper than the limit of 64"));
  EXPECT_EQ(read_text(std::string(2 << 20, ' ')).code(), StatusCode::kResourceExhausted);

  directory_.Remove("config.json");
  ModelConfig config = EncoderConfig("apple");
  const Status missing = ReadConfig(directory_.path(), &config, &warnings_);
  EXPECT_EQ(missing.code(), StatusCode::kNotFound);
  EXPECT_THAT(missing.message(), HasSubstr(directory_.Path("config.json")));
  std::filesystem::create_directory(directory_.Path("config.json"));
  EXPECT_THAT(ReadConfig(directory_.path(), &config, &warnings_).message(),
              HasSubstr("is a directory"));
}

TEST_F(ConfigTest, BrokenCompanions) {
  directory_.Write("generation_config.json", "{");
  EXPECT_THAT(Read(apple_).message(), HasSubstr("generation_config.json: not valid JSON"));
  directory_.Write("generation_config.json", "{}");
  directory_.Write("preprocessor_config.json", "[]");
  EXPECT_TRUE(Read(apple_).ok());  // this layout has no use for it
  EXPECT_THAT(Read(fast_vlm_).message(), HasSubstr("preprocessor_config.json: expected a JSON"));
}

}  // namespace
}  // namespace fastvlm
