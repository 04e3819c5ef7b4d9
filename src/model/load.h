// From the tensors of a checkpoint to the operands of ops.
#ifndef FASTVLM_MODEL_LOAD_H_
#define FASTVLM_MODEL_LOAD_H_

#include <initializer_list>
#include <optional>
#include <vector>

#include "base/buffer.h"
#include "base/thread_pool.h"
#include "checkpoint/weights.h"
#include "ops/depthwise.h"
#include "ops/packed_linear.h"

namespace fastvlm {

Buffer<float> ToBuffer(const std::vector<float>& values);

// Without a format, weights are held as the file has them: floats exactly, blocks of Q8_0 and Q4_0
// as they are. Blocks of other kinds, which no kernel multiplies, are rounded to those of 8 bits.
PackedLinear LoadLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                        ThreadPool& pool);

// The same for the layers of the encoder's feed-forward blocks. They are most of its work, so their
// blocks of 8 bits share a scale between two neighbours, which is faster.
PackedLinear LoadFfnLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                           ThreadPool& pool);

// The first `rows` rows of a [n, k] matrix, without bias.
PackedLinear LoadRows(const Tensor& weight, int64_t rows, std::optional<LinearFormat> format,
                      ThreadPool& pool);

// Joins layers that have the same input into one, so that one product computes what several did.
// Its rows are those of the first, then those of the second, and so on. Either all have a bias or
// none.
PackedLinear LoadJoined(std::initializer_list<const LinearTensors*> parts,
                        std::optional<LinearFormat> format, ThreadPool& pool);

DepthwiseWeights LoadDepthwise(const DepthwiseTensors& tensors, int stride);

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_LOAD_H_
