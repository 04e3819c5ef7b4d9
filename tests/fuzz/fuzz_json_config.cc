// Hostile config.json and companions. The first byte chooses the layout; the rest is config.json,
// generation_config.json, preprocessor_config.json, processor_config.json and
// tokenizer_config.json, with a zero byte between two of them. Those at the end may be left out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/config.h"

namespace fastvlm {
namespace {

constexpr const char* kFiles[] = {"config.json", "generation_config.json",
                                  "preprocessor_config.json", "processor_config.json",
                                  "tokenizer_config.json"};
constexpr const char* kLayouts[] = {"apple", "fast_vlm", "mlx", "mlx_export"};

// Removed when the fuzzer ends in order.
class Directory {
 public:
  Directory() {
    std::string name = (std::filesystem::temp_directory_path() / "fuzz_config_XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~Directory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

void Read(std::string_view input) {
  static const Directory directory;
  ModelConfig config;
  config.layout = kLayouts[static_cast<uint8_t>(input[0]) % std::size(kLayouts)];
  config.vision.stages.resize(5);
  config.vision.feature_channels = 3072;
  input.remove_prefix(1);
  for (const char* name : kFiles) {
    const std::string path = directory.path() + "/" + name;
    if (input.empty()) {
      std::filesystem::remove(path);
      continue;
    }
    const size_t end = std::min(input.find('\0'), input.size());
    std::ofstream(path, std::ios::binary) << input.substr(0, end);
    input.remove_prefix(std::min(end + 1, input.size()));
  }
  std::vector<std::string> warnings;
  static_cast<void>(ReadConfig(directory.path(), &config, &warnings));
}

}  // namespace
}  // namespace fastvlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 0) fastvlm::Read(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
