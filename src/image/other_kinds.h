// Files that are often taken for pictures and cannot be read, by what they are.
#ifndef FASTVLM_IMAGE_OTHER_KINDS_H_
#define FASTVLM_IMAGE_OTHER_KINDS_H_

#include <cstdint>
#include <span>
#include <string_view>

namespace fastvlm {

// What the file is and what to do, for a message: "a PDF is not a picture; convert ...". Empty for
// any other file.
std::string_view OtherKindOf(std::span<const uint8_t> bytes);

}  // namespace fastvlm

#endif  // FASTVLM_IMAGE_OTHER_KINDS_H_
