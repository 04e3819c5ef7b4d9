// Zip archives for tests, hostile ones included.
#ifndef FASTVLM_TESTS_SUPPORT_ZIP_WRITER_H_
#define FASTVLM_TESTS_SUPPORT_ZIP_WRITER_H_

#include <zip.h>

#include <string>
#include <utility>
#include <vector>

#include "base/check.h"

namespace fastvlm {

// The bytes of an archive of these files, stored as they are unless `deflate`.
inline std::string MakeZip(const std::vector<std::pair<std::string, std::string>>& files,
                           bool deflate = false) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* buffer = zip_source_buffer_create(nullptr, 0, 1, &error);
  FASTVLM_CHECK(buffer != nullptr);
  zip_source_keep(buffer);
  zip_t* archive = zip_open_from_source(buffer, ZIP_TRUNCATE, &error);
  FASTVLM_CHECK(archive != nullptr);
  for (const auto& [name, contents] : files) {
    zip_source_t* source = zip_source_buffer(archive, contents.data(), contents.size(), 0);
    const zip_int64_t index = zip_file_add(archive, name.c_str(), source, ZIP_FL_ENC_UTF_8);
    FASTVLM_CHECK(index >= 0);
    const zip_uint64_t at = static_cast<zip_uint64_t>(index);
    FASTVLM_CHECK(
        zip_set_file_compression(archive, at, deflate ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0) == 0);
  }
  FASTVLM_CHECK(zip_close(archive) == 0);
  FASTVLM_CHECK(zip_source_open(buffer) == 0);
  zip_stat_t info;
  FASTVLM_CHECK(zip_source_stat(buffer, &info) == 0);
  std::string bytes(info.size, '\0');
  FASTVLM_CHECK(zip_source_read(buffer, bytes.data(), bytes.size()) ==
                static_cast<zip_int64_t>(bytes.size()));
  zip_source_close(buffer);
  zip_source_free(buffer);
  return bytes;
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_ZIP_WRITER_H_
