// Zip archives from a network: any bytes give a model's files or an error.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "hub/model_files.h"
#include "hub/zip.h"

namespace {

constexpr int64_t kMaxUnpacked = int64_t{1} << 22;  // of one input, so that each takes little time

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto zip = fastvlm::ZipReader::FromMemory({data, size}, "input.zip");
  if (!zip.ok()) return 0;
  for (const fastvlm::ZipEntry& entry : zip->entries()) {
    FASTVLM_CHECK(!entry.name.empty() && entry.name.front() != '/' && entry.name.back() != '/');
    FASTVLM_CHECK(("/" + entry.name + "/").find("/../") == std::string::npos);
  }
  const auto model = zip->FindModel();
  if (!model.ok()) return 0;
  FASTVLM_CHECK(model->files.size() == model->names.size());
  int64_t unpacked = 0;
  for (size_t i = 0; i < model->files.size(); ++i) {
    FASTVLM_CHECK(fastvlm::IsSafeName(model->names[i]));
    int64_t bytes = 0;
    const fastvlm::Status status = zip->Read(model->files[i], [&](std::span<const uint8_t> piece) {
      bytes += static_cast<int64_t>(piece.size());
      unpacked += static_cast<int64_t>(piece.size());
      return unpacked <= kMaxUnpacked ? fastvlm::Status()
                                      : fastvlm::Status(fastvlm::StatusCode::kCancelled, "enough");
    });
    FASTVLM_CHECK(!status.ok() || bytes == model->files[i].size);
  }
  return 0;
}
