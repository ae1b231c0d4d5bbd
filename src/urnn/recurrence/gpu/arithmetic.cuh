// The arithmetic of all kernels. Whatever is rounded twice on one machine and once on another is
// written out here: products that are added are `fused`, nothing else is contracted (-fmad=false,
// -ffp-contract=off), and functions come from no library, so that every machine has the same bits.
#if DOUBLE
typedef double real;  // for checks on a CPU
#else
typedef float real;
#endif

struct __align__(4 * sizeof(real)) Four {
  real v[4];
};

__device__ inline float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ inline double fused(double a, double b, double c) { return fma(a, b, c); }
__device__ inline float root(float v) { return sqrtf(v); }
__device__ inline double root(double v) { return sqrt(v); }
template <class T>
__device__ inline T magnitude(T v) {
  return v < 0 ? -v : v;
}
template <class T>
__device__ inline bool is_finite(T v) {
  return v - v == 0;
}

// tanh(x) = x P(x^2) / Q(x^2) for |x| < 7.9, relative error below 1.3e-7; or with HALF
// tanh(x / 2) / 2. The comparisons are false for NaN and keep it.
template <bool HALF>
__device__ inline float rational_tanh(float x) {
  constexpr double s = HALF ? 0.25 : 1.0;
  constexpr float limit = HALF ? 15.8f : 7.9f;
  constexpr float p0 = float(0.9999998695030362 * s), p1 = float(0.129344228611915 * s * s),
                  p2 = float(0.0029604786883304303 * s * s * s),
                  p3 = float(1.1531890560260793e-05 * s * s * s * s);
  constexpr float q1 = float(0.4626764965114621 * s), q2 = float(0.023854105867337053 * s * s),
                  q3 = float(0.00024001277480067743 * s * s * s),
                  q4 = float(2.4925629941710795e-07 * s * s * s * s);
  x = x > limit ? limit : x;
  x = x < -limit ? -limit : x;
  float y = x * x, y2 = y * y;
  float numerator = fused(fused(p3, y, p2), y2, fused(p1, y, p0));
  float denominator = fused(fused(fused(q4, y, q3), y, q2), y2, fused(q1, y, 1.0f));
  return x * numerator / denominator;
}
__device__ inline float tangent(float x) { return rational_tanh<false>(x); }
__device__ inline float logistic(float x) { return rational_tanh<true>(x) + 0.5f; }
__device__ inline double tangent(double x) { return tanh(x); }
__device__ inline double logistic(double x) { return tanh(x / 2) / 2 + 0.5; }

// |re + i im|, at least 1e-30, so that it can be divided by
__device__ inline real modulus(real re, real im) {
  re = re < 0 ? -re : re, im = im < 0 ? -im : im;
  // relative to the larger part, so that no square overflows or vanishes
  real largest = re < im ? im : re;
  largest = largest < real(1e-30) ? real(1e-30) : largest;
  re /= largest, im /= largest;
  real size = largest * root(fused(re, re, im * im));
  return size < real(1e-30) ? real(1e-30) : size;
}

// exp(x) for x <= 0
__device__ inline double exponential(double x) {
  if (!(x > -700)) return x != x ? x : 0;
  double k = rint(x * 1.4426950408889634);
  double r = fma(-k, 1.9082149292705877e-10, fma(-k, 0.693147180369123816490, x));
  double sum = 1.0 / 6227020800.0;
  constexpr double factors[13] = {1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880,
                                  1.0 / 40320,     1.0 / 5040,     1.0 / 720,     1.0 / 120,
                                  1.0 / 24,        1.0 / 6,        0.5,           1.0,
                                  1.0};
#pragma unroll
  for (int j = 0; j < 13; ++j) sum = fma(sum, r, factors[j]);
  return ldexp(sum, int(k));
}

// log(x) for x >= 1: of x = m 2^e, with m near 1, by the series of atanh((m - 1) / (m + 1))
__device__ inline double logarithm(double x) {
  int e = 0;
  double m = frexp(x, &e);
  if (m < 0.70710678118654752) m *= 2, e -= 1;
  double f = (m - 1) / (m + 1), square = f * f, sum = 0;
#pragma unroll
  for (int j = 25; j > 0; j -= 2) sum = fma(sum, square, 2.0 / j);
  return fma(double(e), 0.69314718055994531, sum * f);
}
