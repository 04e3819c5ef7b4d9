#include "kernels/gemm_q4/gemm_q4.h"
#include "kernels/gemm_shared/bench_quantized.h"

namespace fastvlm {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterGemmQuantized("gemm_q4", GemmQ4Variants());

}  // namespace
}  // namespace fastvlm
