// What tells the model that is served from others.
#ifndef FASTVLM_SERVER_MODEL_DIGEST_H_
#define FASTVLM_SERVER_MODEL_DIGEST_H_

#include <cstdint>
#include <string>

namespace fastvlm {

struct ModelIdentity {
  std::string digest;    // SHA-256, 64 hexadecimal digits
  int64_t modified = 0;  // seconds since 1970: when the newest of its files was written
};

// Of the files of weights in `path`, a directory or one file, with config.json and tokenizer.json.
// The digest is that of their names and sizes and of samples of their contents, 1 MiB of each: a
// checkpoint of gigabytes takes a few milliseconds, a copy of it has the same digest, and other
// weights have another one. It does not prove that a file is whole; `fastvlm verify` does. A file
// that cannot be read counts with its name alone.
ModelIdentity IdentifyModel(const std::string& path);

}  // namespace fastvlm

#endif  // FASTVLM_SERVER_MODEL_DIGEST_H_
