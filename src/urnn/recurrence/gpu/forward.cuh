// Forward through time.

// the states of all time steps, to the rows S of the workspace
__device__ inline void forward(const Arguments& a, const Place& p, const real* theta, real* S,
                               real* shared) {
  const Owned own(p);
  const int T = int(a.length);
  real w[UNITS_OF * SUMS][HIDDEN_SLICE], f[UNITS_OF * SUMS][INPUT_SLICE], bias[UNITS_OF * SUMS];
#pragma unroll
  for (int r = 0; r < UNITS_OF * SUMS; ++r) {
    const int unit = p.lane + r / SUMS * LANES, k = r % SUMS;
#pragma unroll
    for (int c = 0; c < HIDDEN_SLICE; ++c) {
      const int column = c * SLICES + p.slice;
      const bool there = unit < UNITS && column < HIDDEN && has_state(k);
      w[r][c] = there ? theta[OFFSET_W + state_row(k, unit) * HIDDEN + column] : real(0);
    }
#pragma unroll
    for (int c = 0; c < INPUT_SLICE; ++c) {
      const int column = c * SLICES + p.slice;
      const bool there = unit < UNITS && column < INPUT && has_input(k);
      f[r][c] = there ? theta[OFFSET_F + row_of(k, unit) * INPUT + column] : real(0);
    }
    bias[r] = 0;
    if (WIDTH == 1 && unit < UNITS && p.slice == 0) {
      if (has_input(k)) bias[r] = theta[OFFSET_B + row_of(k, unit)];
      if (SPLIT && has_state(k)) bias[r] += theta[OFFSET_B_H + state_row(k, unit)];
    }
  }
  real values[OWN][VALUES], own_bias[OWN];
  real* exchange = shared + EXCHANGE + 2 * p.team * EXCHANGE_ROW;
  real* mine = S + (long long)p.team * STATE_ROW;
#pragma unroll
  for (int o = 0; o < OWN; ++o) {
    const int unit = own.there[o] ? own.unit[o] : 0;
    own_bias[o] = WIDTH == 2 ? theta[OFFSET_B + unit] : real(0);
    start_unit(a, p, theta, unit, own.trial[o], values[o]);
    if (own.there[o]) {
#pragma unroll
      for (int v = 0; v < VALUES; ++v) {
        const int at = state_place(v, unit, own.trial[o]);
        mine[at] = values[o][v];
        if (v < WIDTH) exchange[at] = values[o][v];
      }
    }
  }
  real* staged = shared + STAGE + 2 * p.team * STAGED;
  stage_inputs(a, p, 0, staged);
  commit_copies();
  for (int begin = 0; begin < T; begin += CHUNK) {
    const real* X = staged + begin / CHUNK % 2 * STAGED;
    // no thread reads the chunk before this one any more: all are behind the barrier of its last step
    if (begin + CHUNK < T) stage_inputs(a, p, begin + CHUNK, staged + (1 - begin / CHUNK % 2) * STAGED);
    commit_copies();
    wait_but_one();
    TEAM_BARRIER;
    const int steps = T - begin < CHUNK ? T - begin : CHUNK;
    // F x + b of a time step is ready during the one before
    real drive[PAIRS * SUMS];
    auto drive_step = [&](int i) {
#pragma unroll
      for (int r = 0; r < UNITS_OF * SUMS; ++r)
#pragma unroll
        for (int b = 0; b < TRIALS; ++b)
          drive[(r / SUMS * TRIALS + b) * SUMS + r % SUMS] = bias[r];
      each_column<INPUT_SLICE, 1, INPUT>(X + i * INPUT_ROW, p.slice, [&](int c, const real* v) {
#pragma unroll
        for (int r = 0; r < UNITS_OF * SUMS; ++r)
          if (has_input(r % SUMS))
#pragma unroll
            for (int b = 0; b < TRIALS; ++b) {
              real& sum = drive[(r / SUMS * TRIALS + b) * SUMS + r % SUMS];
              sum = fused(f[r][c], v[b], sum);
            }
      });
    };
    drive_step(0);
#pragma unroll 1
    for (int i = 0; i < steps; ++i) {
      const int t = begin + i;
      real sum[2][PAIRS * SUMS];  // with one slice two chains, in a fixed order
#pragma unroll
      for (int k = 0; k < PAIRS * SUMS; ++k) sum[0][k] = drive[k], sum[1][k] = 0;
      TEAM_BARRIER;
      each_column<HIDDEN_SLICE, 1, HIDDEN>(
          exchange + (t & 1) * EXCHANGE_ROW, p.slice, [&](int c, const real* v) {
            const int chain = SLICES == 1 ? c & 1 : 0;
#pragma unroll
            for (int r = 0; r < UNITS_OF * SUMS; ++r)
              if (has_state(r % SUMS))
#pragma unroll
                for (int b = 0; b < TRIALS; ++b) {
                  real& s = sum[chain][(r / SUMS * TRIALS + b) * SUMS + r % SUMS];
                  s = fused(w[r][c], v[b], s);
                }
          });
      if (i + 1 < steps) drive_step(i + 1);
      if (SLICES == 1)
#pragma unroll
        for (int k = 0; k < PAIRS * SUMS; ++k) sum[0][k] += sum[1][k];
      real z[OWN * SUMS];
      join_slices<SUMS>(sum[0], p.slice, z);
      real* row = S + ((long long)(t + 1) * TEAMS + p.team) * STATE_ROW;
#pragma unroll
      for (int o = 0; o < OWN; ++o) {
        real after[VALUES];
        unit_forward(z + o * SUMS, own_bias[o], values[o], after);
#pragma unroll
        for (int v = 0; v < VALUES; ++v) {
          values[o][v] = after[v];
          const int at = state_place(v, own.unit[o], own.trial[o]);
          if (own.there[o]) {
            if (v < WIDTH) exchange[((t + 1) & 1) * EXCHANGE_ROW + at] = after[v];
            row[at] = after[v];
          }
        }
      }
    }
  }
  wait_all();
}
