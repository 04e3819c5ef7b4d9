#include "server/model_digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <system_error>
#include <vector>

namespace fastvlm {
namespace {

constexpr int64_t kSampleBytes = 64 * 1024;
constexpr int64_t kSamples = 16;  // of each file, evenly spread, the first and last bytes included

bool IsPartOfModel(const std::filesystem::path& file) {
  const std::string extension = file.extension().string();
  const std::string name = file.filename().string();
  return extension == ".safetensors" || extension == ".gguf" || name == "config.json" ||
         name == "tokenizer.json";
}

std::vector<std::filesystem::path> FilesOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) return {path};
  std::vector<std::filesystem::path> files;
  for (std::filesystem::directory_iterator at(path, error), end; !error && at != end;
       at.increment(error)) {
    std::error_code unreadable;
    if (IsPartOfModel(at->path()) && at->is_regular_file(unreadable)) files.push_back(at->path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

void AddSamples(const std::filesystem::path& path, int64_t size, EVP_MD_CTX* context) {
  std::ifstream file(path, std::ios::binary);
  std::vector<char> sample(static_cast<size_t>(std::min(size, kSampleBytes)));
  const int64_t last = size - static_cast<int64_t>(sample.size());
  int64_t before = -1;
  for (int64_t i = 0; i < kSamples && file; ++i) {
    const int64_t at = last / (kSamples - 1) * i + (i == kSamples - 1 ? last % (kSamples - 1) : 0);
    if (at == before) continue;  // a small file
    before = at;
    file.seekg(at);
    file.read(sample.data(), static_cast<std::streamsize>(sample.size()));
    EVP_DigestUpdate(context, sample.data(),
                     static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  }
}

}  // namespace

ModelIdentity IdentifyModel(const std::string& path) {
  ModelIdentity identity;
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr);
  for (const std::filesystem::path& file : FilesOf(path)) {
    struct stat status {};
    if (stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) status = {};
    const std::string head =
        fmt::format("{}\n{}\n", file.filename().string(), static_cast<int64_t>(status.st_size));
    EVP_DigestUpdate(context.get(), head.data(), head.size());
    if (status.st_size > 0) AddSamples(file, status.st_size, context.get());
    identity.modified = std::max(identity.modified, static_cast<int64_t>(status.st_mtime));
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context.get(), digest, &size);
  for (unsigned int i = 0; i < size; ++i) identity.digest += fmt::format("{:02x}", digest[i]);
  return identity;
}

}  // namespace fastvlm
