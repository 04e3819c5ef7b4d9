// Where tests find the files of this repository.
#ifndef FASTVLM_TESTS_SUPPORT_PATHS_H_
#define FASTVLM_TESTS_SUPPORT_PATHS_H_

#include <string>

namespace fastvlm {

inline const std::string kNano = FASTVLM_SOURCE_DIR "/models/nano";
inline const std::string kGoldenData = FASTVLM_SOURCE_DIR "/tests/golden/data/";
inline const std::string kTinyModel = kGoldenData + "apple_tied";

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_PATHS_H_
