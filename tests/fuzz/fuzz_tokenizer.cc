// A hostile tokenizer.json; what follows a zero byte is text for the tokenizer it makes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace fastvlm {
namespace {

void Read(std::string_view input) {
  const size_t end = input.find('\0');
  const auto json = ParseJsonObject(input.substr(0, end), "fuzz");
  if (!json.ok()) return;
  const auto vocabulary = ParseTokenizerJson(*json, "fuzz");
  if (!vocabulary.ok()) return;
  const auto tokenizer = Tokenizer::Create(*vocabulary, "fuzz");
  if (!tokenizer.ok()) return;
  const std::string_view text = end == std::string_view::npos ? "a text" : input.substr(end + 1);
  const std::vector<int32_t> ids = tokenizer->Encode(text);
  for (const int32_t id : ids) {
    if (id < 0 || id >= tokenizer->size()) std::abort();
  }
  static_cast<void>(tokenizer->Decode(ids, false));
}

}  // namespace
}  // namespace fastvlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fastvlm::Read(std::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
