#include "kernels/gemm_shared/bench.h"
#include "kernels/gemm_q8/gemm_q8.h"

namespace fastvlm {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterGemmQuantized("gemm_q8", GemmQ8Variants());

}  // namespace
}  // namespace fastvlm
