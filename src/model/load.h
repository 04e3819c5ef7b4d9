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
// as they are, and other blocks, for which there are no kernels, rounded to 8 bits.
PackedLinear LoadLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                        ThreadPool& pool);

// The same for the layers of the encoder's feed-forward blocks, most of its work: their blocks of
// 8 bits share scales in pairs.
PackedLinear LoadFfnLinear(const LinearTensors& tensors, std::optional<LinearFormat> format,
                           ThreadPool& pool);

// The first `rows` rows of a [n, k] matrix, without bias.
PackedLinear LoadRows(const Tensor& weight, int64_t rows, std::optional<LinearFormat> format,
                      ThreadPool& pool);

// One product in place of several on the same input: the rows of all, in order. All have a bias or
// none.
PackedLinear LoadJoined(std::initializer_list<const LinearTensors*> parts,
                        std::optional<LinearFormat> format, ThreadPool& pool);

DepthwiseWeights LoadDepthwise(const DepthwiseTensors& tensors, int stride);

}  // namespace fastvlm

#endif  // FASTVLM_MODEL_LOAD_H_
