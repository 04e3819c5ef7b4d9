// What users and servers call models and files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/model_files.h"
#include "hub/source.h"

namespace fastvlm {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(ModelSource, HubNames) {
  for (const char* text : {"apple/FastVLM-0.5B", "hf:apple/FastVLM-0.5B", "FastVLM-0.5B",
                           "https://huggingface.co/apple/FastVLM-0.5B/"}) {
    const ModelSource source = ParseModelSource(text).value();
    EXPECT_EQ(source.kind, ModelSource::Kind::kHub) << text;
    EXPECT_EQ(source.repository, "apple/FastVLM-0.5B") << text;
    EXPECT_EQ(source.revision, "main") << text;
    EXPECT_EQ(source.name, "apple/FastVLM-0.5B") << text;
    EXPECT_TRUE(IsFromApple(source));
  }
  const ModelSource pinned = ParseModelSource("hf:owner/name@refs/pr/11").value();
  EXPECT_EQ(pinned.repository, "owner/name");
  EXPECT_EQ(pinned.revision, "refs/pr/11");
  EXPECT_EQ(pinned.name, "owner/name@refs+pr+11");
  EXPECT_FALSE(IsFromApple(pinned));
}

TEST(ModelSource, Archives) {
  for (const char* text :
       {"llava-fastvithd_0.5b_stage3", "apple/llava-fastvithd_0.5b_stage3",
        "https://ml-site.cdn-apple.com/datasets/fastvlm/llava-fastvithd_0.5b_stage3.zip"}) {
    const ModelSource source = ParseModelSource(text).value();
    EXPECT_EQ(source.kind, ModelSource::Kind::kZip);
    EXPECT_EQ(source.url,
              "https://ml-site.cdn-apple.com/datasets/fastvlm/llava-fastvithd_0.5b_stage3.zip");
    EXPECT_EQ(source.name, "apple/llava-fastvithd_0.5b_stage3");
  }
  EXPECT_EQ(AppleArchives().size(), 9u);
  EXPECT_EQ(ParseModelSource("http://localhost:80/a/b.zip?x=1/2#y").value().name, "zip/b");
}

TEST(ModelSource, Nonsense) {
  for (const char* text : {"",
                           "/",
                           "apple",
                           "apple/",
                           "/apple",
                           "../../etc/passwd",
                           "../passwd",
                           "a/..",
                           "./a",
                           "a/b/c",
                           "hf:",
                           "hf:a",
                           "a b/c",
                           "owner/name@",
                           "owner/name@../x",
                           "owner/name@a//b",
                           "owner/na\nme",
                           "https://",
                           "https://host",
                           "https://host/",
                           "https://host/x.tar",
                           "https://x.zip",
                           "https://host/.zip",
                           "https://host/a b.zip",
                           "https://host/%2e.zip",
                           "ftp://host/x.zip",
                           "file:///etc/x.zip",
                           "https://huggingface.co/apple"}) {
    const auto source = ParseModelSource(text);
    ASSERT_FALSE(source.ok()) << text;
    EXPECT_EQ(source.status().code(), StatusCode::kInvalidArgument);
    EXPECT_THAT(source.status().message(), HasSubstr("apple/FastVLM-0.5B"));
  }
}

TEST(ModelFiles, SafeNames) {
  for (const char* name : {"a", "model-00001-of-00002.safetensors", "LICENSE_MODEL", "a+b.json"}) {
    EXPECT_TRUE(IsSafeName(name)) << name;
  }
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string(".bashrc"),
        std::string("a/b"), std::string("a\\b"), std::string("a\0b", 3), std::string("a\nb"),
        std::string("\xc3\xa4"), std::string("c:"), std::string(256, 'a')}) {
    EXPECT_FALSE(IsSafeName(name)) << name;
  }
  EXPECT_TRUE(IsLicenceFile("LICENSE"));
  EXPECT_TRUE(IsLicenceFile("LICENCE.txt"));
  EXPECT_FALSE(IsLicenceFile("LICENSES/../x"));
  EXPECT_FALSE(IsLicenceFile("license_of.safetensors"));
}

TEST(ModelFiles, OnlyWhatIsNeeded) {
  EXPECT_THAT(SelectModelFiles({"README.md", "config.json", "model.safetensors", "onnx/model.onnx",
                                "LICENSE", "llava_qwen.py", "vocab.json", "pytorch_model.bin",
                                "training_args.bin", "fastvithd.mlpackage/Manifest.json"},
                               "x")
                  .value(),
              ElementsAre("LICENSE", "config.json", "vocab.json", "model.safetensors"));
  EXPECT_THAT(SelectModelFiles({"model-00002-of-00002.safetensors", "config.json",
                                "model.safetensors.index.json", "model-00001-of-00002.safetensors",
                                "model-1-of-2.safetensors", "merges.txt"},
                               "x")
                  .value(),
              ElementsAre("config.json", "merges.txt", "model.safetensors.index.json",
                          "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"));
  EXPECT_THAT(SelectModelFiles({"model.gguf", "mmproj.gguf", "README.md"}, "x").value(),
              ElementsAre("mmproj.gguf", "model.gguf"));
}

// As the reader of checkpoints chooses.
TEST(ModelFiles, ACompleteIndexComesBeforeTheOneFile) {
  const std::string index = "model.safetensors.index.json", one = "model.safetensors";
  const std::string first = "model-00001-of-00002.safetensors";
  const std::string second = "model-00002-of-00002.safetensors";
  const auto weights = [](std::vector<std::string> names) {
    names.push_back("config.json");
    std::vector<std::string> selected = SelectModelFiles(names, "x").value();
    std::erase(selected, "config.json");
    return selected;
  };
  EXPECT_THAT(weights({one, second, index, first}), ElementsAre(index, first, second));
  EXPECT_THAT(weights({one, index, first}), ElementsAre(one)) << "the second shard is missing";
  EXPECT_THAT(weights({one, index}), ElementsAre(one));
  EXPECT_THAT(weights({one, first, second}), ElementsAre(one)) << "nothing lists the shards";
  EXPECT_THAT(weights({first, second}), ElementsAre(first, second));
  EXPECT_FALSE(SelectModelFiles({"config.json", index, first}, "x").ok());
  EXPECT_FALSE(
      SelectModelFiles({"config.json", index, first, "model-00001-of-00003.safetensors"}, "x")
          .ok());
}

TEST(ModelFiles, HostileNamesAreNeverChosen) {
  const auto selected =
      SelectModelFiles({"config.json", "model.safetensors", "../config.json", "/etc/config.json",
                        "a/vocab.json", "../../.bashrc", "LICENSE/../../x",
                        "model-00001-of-0000/.safetensors", "..", "merges.txt\n"},
                       "x");
  EXPECT_THAT(selected.value(), ElementsAre("config.json", "model.safetensors"));
}

TEST(ModelFiles, NoModel) {
  for (const std::vector<std::string>& names : {std::vector<std::string>{},
                                                {"config.json"},
                                                {"model.safetensors"},
                                                {"model.gguf"},
                                                {"config.json", "model.safetensors.index.json"},
                                                {"config.json", "onnx/decoder.onnx"}}) {
    const auto selected = SelectModelFiles(names, "hf:a/b");
    ASSERT_FALSE(selected.ok());
    EXPECT_EQ(selected.status().code(), StatusCode::kUnsupported);
    EXPECT_THAT(selected.status().message(), AllOf(HasSubstr("hf:a/b"), HasSubstr("expected")));
  }
}

}  // namespace
}  // namespace fastvlm
