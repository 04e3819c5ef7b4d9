// Which instruction set a function really uses: it runs one instruction at a time, and each
// instruction is looked at before it runs.
#ifndef FASTVLM_TESTS_SUPPORT_EXECUTED_ISA_H_
#define FASTVLM_TESTS_SUPPORT_EXECUTED_ISA_H_

#include <gtest/gtest.h>

#include <csignal>
#include <cstdint>
#include <span>

#include "base/cpu_features.h"

// ThreadSanitizer delays signals, and code compiled for AVX as a whole has no baseline to tell
// from.
#if defined(__x86_64__) && defined(__linux__) && !defined(__SANITIZE_THREAD__) && !defined(__AVX__)
#define FASTVLM_CAN_STEP 1
#include <ucontext.h>

// The linker's: the program's own code. Libraries choose their instructions themselves.
extern "C" const uint8_t __executable_start, etext;
#endif

namespace fastvlm {

#ifdef FASTVLM_CAN_STEP
class IsaStepper {
 public:
  // The latest instruction set that run() used an instruction of. Code for AVX2 is known by VEX
  // prefixes, code for AVX-512 by EVEX prefixes (Intel SDM volume 2, 2.3 and 2.7).
  template <typename Run>
  static Isa LatestIn(const Run& run) {
    struct sigaction action = {}, before = {};
    action.sa_sigaction = OnStep;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGTRAP, &action, &before);
    latest_ = static_cast<int>(Isa::kScalar);
    stepping_ = 1;
    std::raise(SIGTRAP);  // returns with the trap flag set
    run();
    stepping_ = 0;  // the next step is the last one
    sigaction(SIGTRAP, &before, nullptr);
    return static_cast<Isa>(latest_);
  }

 private:
  static void OnStep(int, siginfo_t*, void* context) {
    constexpr greg_t kTrapFlag = 0x100;
    auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    if (stepping_ == 0) {
      registers[REG_EFL] &= ~kTrapFlag;
      return;
    }
    registers[REG_EFL] |= kTrapFlag;
    const auto* next = reinterpret_cast<const uint8_t*>(registers[REG_RIP]);
    if (next < &__executable_start || next >= &etext) return;
    const auto isa = static_cast<int>(IsaOf(next));
    if (isa > latest_) latest_ = isa;
  }

  static Isa IsaOf(const uint8_t* instruction) {
    if (instruction[0] == 0xc4 || instruction[0] == 0xc5) return Isa::kAvx2;
    if (instruction[0] != 0x62) return Isa::kScalar;
    const int map = instruction[1] & 7, prefix = instruction[2] & 3, opcode = instruction[4];
    if (map == 5 || map == 6) return Isa::kAvx512Fp16;
    if (map == 2 && prefix >= 2 && (opcode == 0x52 || opcode == 0x72)) return Isa::kAvx512Bf16;
    if (map == 2 && prefix == 1 && opcode >= 0x50 && opcode <= 0x53) return Isa::kAvx512Vnni;
    return Isa::kAvx512;
  }

  static inline volatile std::sig_atomic_t stepping_ = 0;
  static inline volatile std::sig_atomic_t latest_ = 0;
};
#endif

// For each row of a kernel's table that this CPU can run: with the choice capped at the row's
// instruction set the dispatch chooses that row, and run(row) executes instructions of that set and
// of no later one. Under a cap that the table has no row for, the dispatch chooses the best row
// below it.
template <typename Variant, typename Run>
void ExpectForcedIsaRuns(std::span<const Variant> table, const Variant& (*best)(), const Run& run) {
  for (Isa cap : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAvx512Bf16,
                  Isa::kAvx512Fp16}) {
    if (!CpuSupports(cap)) continue;
    const Isa before = SetMaxIsaForTesting(cap);
    const Variant& chosen = best();
    SetMaxIsaForTesting(before);
    EXPECT_LE(chosen.isa, cap);
    for (const Variant& row : table) {
      if (row.isa <= cap) {
        EXPECT_EQ(&chosen, &row) << "capped at " << IsaName(cap);
        break;
      }
    }
#ifdef FASTVLM_CAN_STEP
    // Rows of AVX-512 run without this proof: it has not been tried on such a CPU yet.
    if (chosen.isa <= Isa::kAvx2) {
      EXPECT_EQ(IsaName(IsaStepper::LatestIn([&] { run(chosen); })), IsaName(chosen.isa))
          << "the function of row " << chosen.name;
      continue;
    }
#endif
    run(chosen);
  }
}

}  // namespace fastvlm

#endif  // FASTVLM_TESTS_SUPPORT_EXECUTED_ISA_H_
