#include "kernels/gemm_shared/bench.h"
#include "kernels/gemm_q4/gemm_q4.h"

namespace fastvlm {
namespace {

[[maybe_unused]] const bool kRegistered = RegisterGemmQuantized("gemm_q4", GemmQ4Variants());

}  // namespace
}  // namespace fastvlm
