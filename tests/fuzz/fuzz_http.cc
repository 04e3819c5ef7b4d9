// HTTP requests of strangers: any bytes give plain requests or a problem, the same ones however the
// bytes come, and what is given on has one meaning only.
#include <algorithm>
#include <cctype>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "server/http_reader.h"

namespace {

constexpr size_t kMaxHead = 2048;

// A plain request with its chunks joined, since these are cut where the bytes happened to come.
std::string Join(std::string_view plain) {
  const size_t body = plain.find("\r\n\r\n") + 4;
  std::string joined(plain.substr(0, body));
  std::string head = joined;
  std::transform(head.begin(), head.end(), head.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  plain.remove_prefix(body);
  if (head.find("\r\ntransfer-encoding:") == std::string::npos) {
    return joined + std::string(plain);
  }
  while (!plain.empty()) {
    const size_t size = std::stoul(std::string(plain.substr(0, 16)), nullptr, 16);
    plain.remove_prefix(plain.find("\r\n") + 2);
    joined += plain.substr(0, size);
    plain.remove_prefix(size + 2);
  }
  return joined;
}

// All requests in these bytes, which come in pieces of this size.
std::string ReadAll(std::string_view bytes, size_t piece) {
  fastvlm::HttpReader reader(kMaxHead);
  std::string all;
  while (true) {
    while (!bytes.empty() && !reader.complete() && reader.problem().status == 0) {
      reader.Put(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    if (reader.problem().status != 0 || !reader.complete()) return all;
    all += Join(reader.plain());
    reader.Begin();
  }
}

// A request in its plain form is read as itself.
void CheckPlain(std::string_view bytes) {
  fastvlm::HttpReader reader(kMaxHead);
  reader.Put(bytes);
  if (!reader.complete() || reader.problem().status != 0) return;
  fastvlm::HttpReader again(2 * kMaxHead);  // it may have gained blanks behind its colons
  again.Put(reader.plain());
  FASTVLM_CHECK(again.problem().status == 0);
  FASTVLM_CHECK(again.complete());
  FASTVLM_CHECK(again.plain() == reader.plain());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  CheckPlain(bytes);
  FASTVLM_CHECK(ReadAll(bytes, 1) == ReadAll(bytes, std::max<size_t>(size, 1)));
  return 0;
}
