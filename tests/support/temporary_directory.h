// A directory that exists as long as the object, for tests that need files.
#ifndef FASTVLM_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
#define FASTVLM_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace fastvlm {

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(::testing::TempDir() + "fastvlm_XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "cannot create " << path_;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }

  void Write(const std::string& name, std::string_view contents) const {
    std::ofstream file(Path(name), std::ios::binary);
    file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
    if (!file.flush()) ADD_FAILURE() << "cannot write " << Path(name);
  }
  void Remove(const std::string& name) const { std::filesystem::remove_all(Path(name)); }

 private:
  std::string path_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_TEMPORARY_DIRECTORY_H_
