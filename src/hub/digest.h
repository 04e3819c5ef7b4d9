// Checksums of files as they arrive.
#ifndef FASTVLM_HUB_DIGEST_H_
#define FASTVLM_HUB_DIGEST_H_

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

struct evp_md_ctx_st;

namespace fastvlm {

// A larger size than this, of one file in bytes, is not believed.
inline constexpr int64_t kMaxFileBytes = int64_t{1} << 40;

enum class DigestKind {
  kNone,
  kSha256,   // what the hub states for large files
  kGitBlob,  // SHA-1 of "blob SIZE\0" and the contents: what it states for all others
};

// What a file must have: 64 or 40 lower-case hexadecimal digits, none for kNone.
struct ExpectedDigest {
  DigestKind kind = DigestKind::kNone;
  std::string hex;
};

class Digest {
 public:
  // `size` of the whole contents, bytes; only kGitBlob uses it.
  Digest(DigestKind kind, int64_t size);
  Digest(Digest&&) noexcept;
  Digest& operator=(Digest&&) noexcept;
  ~Digest();

  void Update(std::span<const uint8_t> bytes);
  std::string Hex();  // once, at the end; "" for kNone

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// The digest of a whole file. Errors: kNotFound, kIoError.
Result<std::string> FileDigest(const std::string& path, DigestKind kind);

}  // namespace fastvlm

#endif  // FASTVLM_HUB_DIGEST_H_
