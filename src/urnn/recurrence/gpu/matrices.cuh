// Matrices n x n (n = HIDDEN) of one replica, row by row in global memory, by all threads of a block.
constexpr int ENTRIES = HIDDEN * HIDDEN;

// target = f(A^T A or A B)(entry, sum); every thread some entries, then all wait
template <bool TRANSPOSED, class F>
__device__ inline void multiply(const real* A, const real* B, real* target, F f) {
  for (int k = threadIdx.x; k < ENTRIES; k += blockDim.x) {
    const int row = k / HIDDEN, column = k % HIDDEN;
    real sum = 0;
    for (int j = 0; j < HIDDEN; ++j)
      sum = fused(A[TRANSPOSED ? j * HIDDEN + row : row * HIDDEN + j], B[j * HIDDEN + column], sum);
    target[k] = f(k, sum);
  }
  BLOCK_BARRIER;
}

// the sum of f(entry), in an order that no number of threads changes
template <class F>
__device__ inline real over_entries(double* room, F f) {
  real* sums = reinterpret_cast<real*>(room);
  for (int start = threadIdx.x; start < PARTIAL_SUMS; start += blockDim.x) {
    real sum = 0;
    for (int k = start; k < ENTRIES; k += PARTIAL_SUMS) sum += f(k);
    sums[start] = sum;
  }
  BLOCK_BARRIER;
  real result = 0;
  for (int k = 0; k < PARTIAL_SUMS; ++k) result += sums[k];
  return result;  // all of the above begin with a barrier, or end with one before they use the room
}

// W = U S V^T -> U f(S) V^T by one-sided Jacobi (Hestenes 1958, doi:10.1137/0106005): rows of W and
// of Q = I are rotated in pairs until the rows of Q W are orthogonal, s_i v_i^T, with Q = U^T.
// f(s) gives the factor of s v^T. `always`: else W stays as it is unless a singular value is above 1.
template <class F>
__device__ inline void map_singular_values(real* W, real* scratch, double* room, bool always, F f) {
  constexpr int LANES_OF_PAIR = 8, EVEN = HIDDEN + HIDDEN % 2, SWEEPS = 30;
  // rows of float are orthogonal to rounding
  const real tolerance = sizeof(real) == 4 ? real(2e-7) : real(1e-15);
  real *A = scratch, *Q = scratch + ENTRIES, *factors = scratch + 2 * ENTRIES;
  real* turned = reinterpret_cast<real*>(room);
  for (int k = threadIdx.x; k < ENTRIES; k += blockDim.x)
    A[k] = W[k], Q[k] = k / HIDDEN == k % HIDDEN ? real(1) : real(0);
  const int lane = threadIdx.x % LANES_OF_PAIR, groups = blockDim.x / LANES_OF_PAIR;
  for (int sweep = 0; sweep < SWEEPS; ++sweep) {
    BLOCK_BARRIER;
    if (threadIdx.x == 0) *turned = 0;
    for (int round = 0; round < EVEN - 1; ++round) {
      BLOCK_BARRIER;
      for (int first = 0; first < EVEN / 2; first += groups) {  // all threads alike: they shuffle
        const int pair = first + threadIdx.x / LANES_OF_PAIR;
        // a round-robin: every row meets every other one in a sweep
        int i = (round + pair) % (EVEN - 1);
        int j = pair == 0 ? EVEN - 1 : (round + EVEN - 1 - pair) % (EVEN - 1);
        const bool there = pair < EVEN / 2 && i < HIDDEN && j < HIDDEN;
        real *a = A + (there ? i : 0) * HIDDEN, *b = A + (there ? j : 0) * HIDDEN;
        real aa = 0, bb = 0, ab = 0;
        for (int k = lane; k < HIDDEN; k += LANES_OF_PAIR) {
          aa = fused(a[k], a[k], aa);
          bb = fused(b[k], b[k], bb);
          ab = fused(a[k], b[k], ab);
        }
#pragma unroll
        for (int bit = 1; bit < LANES_OF_PAIR; bit *= 2) {
          aa += shuffle_xor(aa, bit);
          bb += shuffle_xor(bb, bit);
          ab += shuffle_xor(ab, bit);
        }
        if (!there || !(magnitude(ab) > tolerance * root(aa) * root(bb))) continue;
        // the rotation that makes them orthogonal
        const real zeta = (bb - aa) / (2 * ab);
        const real t = (zeta < 0 ? real(-1) : real(1)) / (magnitude(zeta) + root(fused(zeta, zeta, real(1))));
        const real c = 1 / root(fused(t, t, real(1))), s = c * t;
        real *p = Q + i * HIDDEN, *q = Q + j * HIDDEN;
        for (int k = lane; k < HIDDEN; k += LANES_OF_PAIR) {
          const real ak = a[k], pk = p[k];
          a[k] = fused(c, ak, -(s * b[k])), b[k] = fused(s, ak, c * b[k]);
          p[k] = fused(c, pk, -(s * q[k])), q[k] = fused(s, pk, c * q[k]);
        }
        *turned = 1;
      }
    }
    BLOCK_BARRIER;
    if (*turned == 0) break;
  }
  for (int i = threadIdx.x; i < HIDDEN; i += blockDim.x) {
    real square = 0;
    for (int k = 0; k < HIDDEN; ++k) square = fused(A[i * HIDDEN + k], A[i * HIDDEN + k], square);
    factors[i] = root(square);
  }
  BLOCK_BARRIER;
  bool above = always;
  for (int i = 0; i < HIDDEN; ++i) above |= factors[i] > 1;
  if (!above) return;  // of all threads alike
  for (int k = threadIdx.x; k < ENTRIES; k += blockDim.x) {
    const int row = k / HIDDEN, column = k % HIDDEN;
    real sum = 0;
    for (int i = 0; i < HIDDEN; ++i)
      sum = fused(Q[i * HIDDEN + row] * f(factors[i]), A[i * HIDDEN + column], sum);
    W[k] = sum;
  }
  BLOCK_BARRIER;
}
