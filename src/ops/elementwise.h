// Element by element operations, over the threads of a pool.
#ifndef FASTVLM_OPS_ELEMENTWISE_H_
#define FASTVLM_OPS_ELEMENTWISE_H_

#include <cstdint>

#include "base/thread_pool.h"

namespace fastvlm {

// y = gate / (1 + exp(-gate)) * up: kernels/silu_mul has source and error bound. [count] each; y
// may be gate or up. Results do not depend on the number of threads.
void SiluMul(const float* gate, const float* up, int64_t count, float* y, ThreadPool& pool);

}  // namespace fastvlm

#endif  // FASTVLM_OPS_ELEMENTWISE_H_
