// Pictures as PNG files.
#ifndef FASTVLM_TRAIN_PNG_FILE_H_
#define FASTVLM_TRAIN_PNG_FILE_H_

#include <cstdint>
#include <span>
#include <string>

#include "base/status.h"

namespace fastvlm::train {

// rgb: [height, width, 3]. Written atomically; kIoError as WriteFileAtomically.
Status WritePng(const std::string& path, std::span<const uint8_t> rgb, int height, int width);

}  // namespace fastvlm::train

#endif  // FASTVLM_TRAIN_PNG_FILE_H_
