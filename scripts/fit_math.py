#!/usr/bin/env python3
"""Fits the coefficients of src/simd/math.h and prints them with their errors.

  exp(r) = 1 + r + r^2 P(r)      for |r| <= ln(2) / 2
  erf(x) = x P(x^2) / Q(x^2)     for |x| <= 3.9

Both minimise the largest relative error, by least squares with weights that are raised where the
error is largest (Lawson's method). Needs numpy and mpmath.
"""
import mpmath
import numpy as np

POINTS = 4000


def chebyshev_points(low: float, high: float) -> np.ndarray:
    return np.cos(np.linspace(0, np.pi, POINTS)) * (high - low) / 2 + (low + high) / 2


def fit_ratio(x, y, weight, numerator_degree, denominator_degree, rounds):
    """Coefficients of P and Q (Q's first is 1) for y ~ P(x) / Q(x), and the largest weighted error."""
    x, y, weight = (np.asarray(v, np.longdouble) for v in (x, y, weight))
    powers = [x**i for i in range(max(numerator_degree, denominator_degree) + 1)]
    lawson = np.ones(POINTS, np.longdouble)
    q = np.ones(POINTS, np.longdouble)
    best = None
    for _ in range(rounds):
        columns = powers[:numerator_degree + 1] + [-y * p for p in powers[1:denominator_degree + 1]]
        matrix = np.stack(columns, 1)
        scale = np.sqrt(lawson) * weight / np.abs(q)
        scaled = (matrix * scale[:, None]).astype(float)
        solution = np.linalg.lstsq(scaled, (y * scale).astype(float), rcond=None)[0].astype(np.longdouble)
        residual = ((y - matrix @ solution) * scale).astype(float)
        solution += np.linalg.lstsq(scaled, residual, rcond=None)[0]
        p_coefficients = solution[:numerator_degree + 1]
        q_coefficients = np.concatenate([[np.longdouble(1)], solution[numerator_degree + 1:]])
        q = sum(c * p for c, p in zip(q_coefficients, powers))
        p = sum(c * p for c, p in zip(p_coefficients, powers))
        error = np.abs(p / q - y) * weight
        if best is None or error.max() < best[0]:
            best = (error.max(), p_coefficients, q_coefficients)
        lawson *= 0.1 + error / error.max()
        lawson /= lawson.mean()
    return best


def show(name, error, *coefficients):
    print(f"{name}: largest relative error {float(error):.2e}")
    for label, values in zip("PQ", coefficients):
        print(f"  {label}: " + ", ".join(repr(float(np.float32(v))) for v in values))


def main():
    half = float(np.log(2) / 2 * 1.0001)
    r = chebyshev_points(-half, half)
    rest = np.array([float((mpmath.exp(v) - 1 - v) / mpmath.mpf(v)**2) if abs(v) > 1e-9 else 0.5 for v in r])
    error, p, _ = fit_ratio(r, rest, np.maximum(r * r / np.exp(r), 1e-9), 4, 0, 200)
    show("exp", error, p)

    limit = 3.9**2
    t = (chebyshev_points(0, limit)) / limit  # scaled to 0..1 for the sake of the solver
    def quotient(v):
        root = mpmath.sqrt(v * limit)
        return float(mpmath.erf(root) / root) if v > 1e-20 else 2 / float(mpmath.sqrt(mpmath.pi))
    y = np.array([quotient(float(v)) for v in t])
    error, p, q = fit_ratio(t, y, 1 / y, 5, 5, 60)
    show("erf", error, *([c / limit**i for i, c in enumerate(v)] for v in (p, q)))


if __name__ == "__main__":
    mpmath.mp.dps = 30
    main()
