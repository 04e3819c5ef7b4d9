#include "hub/digest.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <array>
#include <string_view>

#include "base/check.h"
#include "base/file.h"

namespace fastvlm {
namespace {

constexpr size_t kChunkBytes = size_t{4} << 20;

}  // namespace

void Digest::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Digest::Digest(DigestKind kind, int64_t size) {
  if (kind == DigestKind::kNone) return;
  context_.reset(EVP_MD_CTX_new());
  const EVP_MD* type = kind == DigestKind::kSha256 ? EVP_sha256() : EVP_sha1();
  FASTVLM_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), type, nullptr) == 1);
  if (kind == DigestKind::kGitBlob) {
    const std::string header = fmt::format("blob {}", size);
    Update({reinterpret_cast<const uint8_t*>(header.c_str()), header.size() + 1});
  }
}

Digest::Digest(Digest&&) noexcept = default;
Digest& Digest::operator=(Digest&&) noexcept = default;
Digest::~Digest() = default;

void Digest::Update(std::span<const uint8_t> bytes) {
  if (context_ != nullptr) {
    FASTVLM_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
}

std::string Digest::Hex() {
  if (context_ == nullptr) return {};
  std::array<uint8_t, EVP_MAX_MD_SIZE> bytes;
  unsigned int size = 0;
  FASTVLM_CHECK(EVP_DigestFinal_ex(context_.get(), bytes.data(), &size) == 1);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) hex += fmt::format("{:02x}", bytes[i]);
  return hex;
}

Result<std::string> FileDigest(const std::string& path, DigestKind kind) {
  FASTVLM_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::Open(path));
  std::span<const uint8_t> bytes = file.bytes();
  Digest digest(kind, static_cast<int64_t>(bytes.size()));
  while (!bytes.empty()) {
    const std::span<const uint8_t> chunk = bytes.first(std::min(bytes.size(), kChunkBytes));
    digest.Update(chunk);
    ReleaseMappedPages(chunk.data(), chunk.size());
    bytes = bytes.subspan(chunk.size());
  }
  return digest.Hex();
}

}  // namespace fastvlm
