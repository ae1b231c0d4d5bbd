// What an optimizer step does with the gradient of a replica: by one block, of any number of threads.

// the sum over the parameters, or the largest value, in an order that no number of threads changes
template <bool LARGEST, class F>
__device__ inline real over_parameters(double* room, F of) {
  real* sums = reinterpret_cast<real*>(room);
  auto join = [](real a, real b) { return LARGEST ? (b > a || b != b ? b : a) : a + b; };
  for (int start = threadIdx.x; start < PARTIAL_SUMS; start += blockDim.x) {
    real sum = 0;
    for (int k = start; k < PARAMETERS; k += PARTIAL_SUMS) sum = join(sum, of(k));
    sums[start] = sum;
  }
  BLOCK_BARRIER;
  real result = 0;
  for (int k = 0; k < PARTIAL_SUMS; ++k) result = join(result, sums[k]);
  BLOCK_BARRIER;
  return result;
}

// One step of replica r from g (K), its gradient, and its loss; false if it ends: then nothing but
// `ended` has changed. W is brought back to its set by `retract`, which waits for all where it writes.
__device__ inline bool update(const Arguments& a, int r, real* theta, const real* g, double loss,
                              real rate, real* scratch, double* room) {
  auto trained = [&](int k) {  // not the initial states, or these too
    return k < OFFSET_H_INIT || a.train_initial_state ? g[k] : real(0);
  };
  real scale = 1, factor = 1;
  if (a.largest_norm > 0) {
    // relative to the largest entry, so that no square overflows before the norm is known
    scale = over_parameters<true>(room, [&](int k) { return magnitude(trained(k)); });
    scale = scale < real(1e-30) ? real(1e-30) : scale;
    const real norm = root(over_parameters<false>(room, [&](int k) {
      const real v = trained(k) / scale;
      return v * v;
    }));
    factor = real(a.largest_norm) / norm;
    factor = factor > scale ? scale : factor;
  }
  auto clipped = [&](int k) { return trained(k) / scale * factor; };
  const real squares = over_parameters<false>(room, [&](int k) { return clipped(k) * clipped(k); });
  if (!is_finite(loss + double(squares))) {
    if (threadIdx.x == 0) a.ended[r] = OVERFLOWED;
    return false;
  }
  for (int k = threadIdx.x; k < PARAMETERS; k += blockDim.x) {
    const long long at = (long long)r * PARAMETERS + k;
    theta[k] += change(clipped(k), rate, a.first_state + at, a.second_state + at);
  }
  BLOCK_BARRIER;
  retract(theta + OFFSET_W, scratch, room);
  if (threadIdx.x == 0) {
    a.taken[r] += 1;
    a.total[r] += loss * double(a.batch);
  }
  return true;
}
