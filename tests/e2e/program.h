// The program under test and the files it is given.
#ifndef FASTVLM_TESTS_E2E_PROGRAM_H_
#define FASTVLM_TESTS_E2E_PROGRAM_H_

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "support/paths.h"
#include "support/run_program.h"

namespace fastvlm {

inline const std::string kImage = kGoldenData + "images/wide.png";
inline const std::string kOtherImage = kGoldenData + "images/tall.png";

// fastvlm with these arguments.
inline ProgramResult Fastvlm(std::vector<std::string> arguments, const std::string& input = {},
                             const std::vector<std::string>& environment = {}) {
  arguments.insert(arguments.begin(), FASTVLM_PROGRAM);
  return RunProgram(arguments, input, environment);
}

inline std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// An empty directory that is removed at the end.
class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "fastvlm_e2e_XXXXXX").string();
    FASTVLM_CHECK(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~ScratchDirectory() { std::filesystem::remove_all(path_); }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& contents) const {
    std::ofstream(*this / name, std::ios::binary) << contents;
    return *this / name;
  }

 private:
  std::string path_;
};

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_E2E_PROGRAM_H_
