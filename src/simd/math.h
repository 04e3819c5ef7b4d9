// Elementary functions on the vector F32 of the vector header that was included before this one.
// Coefficients are minimax fits made for this project (scripts/fit_math.py prints them).
#ifndef FASTVLM_SIMD_MATH_H_
#define FASTVLM_SIMD_MATH_H_

namespace fastvlm::FASTVLM_SIMD {

// e^x within 1.3 ulp for x in [-87.3, 88.3]; 0 below, infinity above, NaN for NaN.
FASTVLM_INLINE F32 Exp(F32 x) {
  x = Min(Set(89.0f), Max(Set(-88.2f), x));
  const F32 n = RoundToNearest(Mul(x, Set(1.44269504f)));
  // r = x - n ln 2, with ln 2 in two parts so that the difference is exact.
  const F32 r = MulAdd(n, Set(2.12194440e-4f), MulAdd(n, Set(-0.693359375f), x));
  F32 p = Set(1.381459878757596e-3f);
  p = MulAdd(p, r, Set(8.368716575205326e-3f));
  p = MulAdd(p, r, Set(4.166838899254799e-2f));
  p = MulAdd(p, r, Set(0.1666652113199234f));
  p = MulAdd(p, r, Set(0.4999999403953552f));
  p = MulAdd(Mul(r, r), p, Add(r, Set(1.0f)));
  return Mul(p, PowerOfTwo(n));
}

// e^x for x <= 0 within (2e-7 + 3e-9 |x|) e^x down to -87.3; 0 far below, NaN for NaN. Two thirds
// of the work of Exp.
FASTVLM_INLINE F32 ExpOfNegative(F32 x) {
  x = Max(Set(-87.9f), x);
  const F32 biased = MulAdd(x, Set(1.44269504f), Set(kPowerBias));  // rounds to an integer
  const F32 r = MulAdd(Sub(biased, Set(kPowerBias)), Set(-0.69314718f), x);
  F32 p = Set(8.312520571053028e-3f);
  p = MulAdd(p, r, Set(4.1890159249305725e-2f));
  p = MulAdd(p, r, Set(0.16667114198207855f));
  p = MulAdd(p, r, Set(0.499992311000824f));
  p = MulAdd(p, r, Set(1.0f));
  p = MulAdd(p, r, Set(1.0f));
  return Mul(p, PowerOfTwoBiased(biased));
}

// x^2 + 1e-30. The polynomials in x^2 do not see the difference, and the square of a tiny x is not
// a subnormal, which would make each multiplication by it a hundred times slower.
FASTVLM_INLINE F32 NormalSquare(F32 x) { return MulAdd(x, x, Set(1e-30f)); }

// erf(x) within 4e-7 absolute, as x P(x^2) / Q(x^2); 1 to rounding beyond |x| = 3.9.
FASTVLM_INLINE F32 Erf(F32 x) {
  x = Min(Set(3.9f), Max(Set(-3.9f), x));
  const F32 t = NormalSquare(x);
  F32 p = Set(2.0664620024035685e-6f);
  p = MulAdd(p, t, Set(2.850622695405036e-4f));
  p = MulAdd(p, t, Set(3.7383732851594687e-3f));
  p = MulAdd(p, t, Set(5.266817286610603e-2f));
  p = MulAdd(p, t, Set(0.18966752290725708f));
  p = MulAdd(p, t, Set(1.1283791065216064f));
  F32 q = Set(3.8269903598120436e-5f);
  q = MulAdd(q, t, Set(1.1573816882446408e-3f));
  q = MulAdd(q, t, Set(1.4914334751665592e-2f));
  q = MulAdd(q, t, Set(0.11381924152374268f));
  q = MulAdd(q, t, Set(0.5014212727546692f));
  q = MulAdd(q, t, Set(1.0f));
  return Div(Mul(x, p), q);
}

// x / (1 + e^-x) and x * 0.5 * (1 + erf(x / sqrt 2)).
FASTVLM_INLINE F32 Silu(F32 x) { return Div(x, Add(Set(1.0f), Exp(Sub(Zero(), x)))); }
FASTVLM_INLINE F32 Gelu(F32 x) {
  const F32 half = Mul(Set(0.5f), x);
  return MulAdd(half, Erf(Mul(x, Set(0.70710678f))), half);
}

// The same GELU within 7e-5 + 2e-7 |x|, without a division: for what is rounded to 8 bits anyway.
FASTVLM_INLINE F32 GeluNear(F32 x) {
  const F32 c = Min(Set(4.15f), Max(Set(-4.15f), x));
  const F32 t = NormalSquare(c);
  F32 p = Set(-9.402514322687239e-10f);
  p = MulAdd(p, t, Set(8.19332441892584e-8f));
  p = MulAdd(p, t, Set(-3.1042870887176832e-6f));
  p = MulAdd(p, t, Set(6.778910028515384e-5f));
  p = MulAdd(p, t, Set(-9.572785929776728e-4f));
  p = MulAdd(p, t, Set(9.324022568762302e-3f));
  p = MulAdd(p, t, Set(-6.557514518499374e-2f));
  p = MulAdd(p, t, Set(0.39849424362182617f));
  return Mul(x, MulAdd(c, p, Set(0.5f)));
}

}  // namespace fastvlm::FASTVLM_SIMD

#endif  // FASTVLM_SIMD_MATH_H_
