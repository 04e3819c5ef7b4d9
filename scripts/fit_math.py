#!/usr/bin/env python3
"""Fits the coefficients of src/simd/math.h and prints them with their errors.

  exp(r) = 1 + r + r^2 P(r)      for |r| <= ln(2) / 2
  erf(x) = x P(x^2) / Q(x^2)     for |x| <= 3.9

  gelu(x) = x (1/2 + c P(c^2))   for c = x within +-LIMIT

The first two minimise the largest relative error, the last the largest absolute one with
1/2 + c P(c^2) = 1 at the limit, by least squares with weights that are raised where the
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


def fit_gelu(limit, degree, rounds=100):
    """Coefficients of P, and the largest error of x (1/2 + c P(c^2)) anywhere."""
    x = np.abs(chebyshev_points(1e-4, limit))
    phi = np.array([0.5 * float(mpmath.erf(v / mpmath.sqrt(2))) for v in x])
    # P(t) = 1 / (2 limit) + (t - limit^2) R(t) meets the limit whatever R is.
    rest = phi / x - 0.5 / limit
    basis = np.stack([(x * x - limit**2) * (x / limit)**(2 * i) for i in range(degree)], 1)
    weight, lawson, best = x * x, np.ones(POINTS), None
    for _ in range(rounds):
        scale = weight * np.sqrt(lawson)
        r = np.linalg.lstsq(basis * scale[:, None], rest * scale, rcond=None)[0]
        error = np.abs(basis @ r - rest) * weight
        if best is None or error.max() < best[0]:
            best = (error.max(), r)
        lawson *= 0.1 + error / error.max()
        lawson /= lawson.mean()
    error, r = best
    r = [c / limit**(2 * i) for i, c in enumerate(r)]
    p = np.zeros(degree + 1)
    p[0] = 0.5 / limit
    for i, c in enumerate(r):
        p[i] -= c * limit**2
        p[i + 1] += c
    tail = limit * 0.5 * float(mpmath.erfc(limit / mpmath.sqrt(2)))
    return max(error, tail), p


def main():
    half = float(np.log(2) / 2 * 1.0001)
    r = chebyshev_points(-half, half)
    rest = np.array([float((mpmath.exp(v) - 1 - v) / mpmath.mpf(v)**2) if abs(v) > 1e-9 else 0.5 for v in r])
    for name, degree in ("exp", 4), ("exp of negative", 3):
        error, p, _ = fit_ratio(r, rest, np.maximum(r * r / np.exp(r), 1e-9), degree, 0, 200)
        show(name, error, p)

    limit = 3.9**2
    t = (chebyshev_points(0, limit)) / limit  # scaled to 0..1 for the sake of the solver
    def quotient(v):
        root = mpmath.sqrt(v * limit)
        return float(mpmath.erf(root) / root) if v > 1e-20 else 2 / float(mpmath.sqrt(mpmath.pi))
    y = np.array([quotient(float(v)) for v in t])
    error, p, q = fit_ratio(t, y, 1 / y, 5, 5, 60)
    show("erf", error, *([c / limit**i for i, c in enumerate(v)] for v in (p, q)))

    limit = min(np.arange(3.5, 4.5, 0.05), key=lambda v: fit_gelu(v, 7, 30)[0])
    error, p = fit_gelu(limit, 7)
    print(f"gelu near: limit {limit:.2f}, largest absolute error {error:.2e}")
    print("  P: " + ", ".join(repr(float(np.float32(v))) for v in p))


if __name__ == "__main__":
    mpmath.mp.dps = 30
    main()
