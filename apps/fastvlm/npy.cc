#include "npy.h"

#include <fmt/format.h>

#include <bit>
#include <cstdint>
#include <span>

#include "base/file.h"

namespace fastvlm {

Status WriteNpy(const std::string& path, const Matrix& matrix) {
  static_assert(std::endian::native == std::endian::little, "the header below says little endian");
  // Format 1.0: magic, header length, a Python dict padded so that the data starts at a multiple
  // of 64.
  std::string header =
      fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}", matrix.rows,
                  matrix.columns);
  constexpr size_t kPrefix = 10;
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header += '\n';
  std::string prefix("\x93NUMPY\x01\x00", 8);
  prefix += static_cast<char>(header.size() & 0xff);
  prefix += static_cast<char>(header.size() >> 8);
  prefix += header;
  const std::span<const uint8_t> parts[] = {
      {reinterpret_cast<const uint8_t*>(prefix.data()), prefix.size()},
      {reinterpret_cast<const uint8_t*>(matrix.values.data()),
       matrix.values.size() * sizeof(float)}};
  return WriteFileAtomically(path, parts);
}

}  // namespace fastvlm
