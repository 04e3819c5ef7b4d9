// NumPy files, since what an encoder produces is usually looked at from Python.
#ifndef FASTVLM_APPS_NPY_H_
#define FASTVLM_APPS_NPY_H_

#include <string>

#include "fastvlm/model.h"
#include "fastvlm/status.h"

namespace fastvlm {

// Writes the matrix as a .npy file, float32, atomically.
Status WriteNpy(const std::string& path, const Matrix& matrix);

}  // namespace fastvlm

#endif  // FASTVLM_APPS_NPY_H_
