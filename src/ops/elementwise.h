// Element by element operations, over the threads of a pool.
#ifndef FASTVLM_OPS_ELEMENTWISE_H_
#define FASTVLM_OPS_ELEMENTWISE_H_

#include <cstdint>

#include "base/thread_pool.h"

namespace fastvlm {

// gate = gate / (1 + exp(-gate)) * up in each row of gate_up: [tokens, 2 * width], a row being
// [gate | up]. kernels/silu_mul has source and error bound. Results do not depend on the number of
// threads.
void SiluMul(float* gate_up, int64_t tokens, int64_t width, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ELEMENTWISE_H_
