// Back through time: the errors of the readout, and the gradients.

// output k of a staged state
__device__ inline real readout(const real* theta, const real* h, int k, int trial) {
  real sum = theta[OFFSET_D + k];
  for (int j = 0; j < HIDDEN; ++j)
    sum = fused(theta[OFFSET_C + k * HIDDEN + j], h[j * TRIALS + trial], sum);
  return sum;
}

// the errors of a chunk's rows from `begin` on, unscaled: C h + d - y of every row but the first,
// and 0 where y is NaN
__device__ inline void squared_errors(const Arguments& a, const Place& p, const real* theta,
                                      const real* H, const real* Y, int begin, real* E) {
  for (int i = p.member; i < CHUNK * OUTPUT * TRIALS; i += TEAM) {
    const int step = i / (OUTPUT * TRIALS), b = i % TRIALS, k = i / TRIALS % OUTPUT;
    const int row = begin + step;
    real error = 0;
    if (row > 0 && row <= a.length && p.has(b)) {
      const real target = Y[step * OUTPUT_ROW + k * TRIALS + b];
      if (target == target) error = readout(theta, H + step * STATE_ROW, k, b) - target;
    }
    E[step * OUTPUT_ROW + k * TRIALS + b] = error;
  }
}

// softmax(C h + d) - onehot(y) of the last state, and the losses, trial by trial
__device__ inline void label_errors(const Arguments& a, const Place& p, const real* theta,
                                    const real* h, real* E, double* losses) {
  for (int i = p.member; i < OUTPUT * TRIALS; i += TEAM)
    E[i] = readout(theta, h, i / TRIALS, i % TRIALS);
  TEAM_BARRIER;
  for (int b = p.member; b < TRIALS; b += TEAM) {
    const long long label = static_cast<const long long*>(a.y)[p.source[b]];
    real most = E[b];
    for (int k = 1; k < OUTPUT; ++k) most = E[k * TRIALS + b] > most ? E[k * TRIALS + b] : most;
    double total = 0;
    for (int k = 0; k < OUTPUT; ++k) total += exponential(double(E[k * TRIALS + b] - most));
    losses[b] = logarithm(total) - double(E[label * TRIALS + b] - most);
    for (int k = 0; k < OUTPUT; ++k) {
      const double share = exponential(double(E[k * TRIALS + b] - most)) / total;
      E[k * TRIALS + b] = p.has(b) ? real(share - (k == label)) : real(0);
    }
  }
}

// the block's threads give a value for each of their pairs; += their sums over the trials, in the
// order of these, at `target(unit)`
template <class V, class A>
__device__ inline void add_over_trials(const Place& p, const Owned& own, real* room, V value,
                                       A target) {
  BLOCK_BARRIER;
#pragma unroll
  for (int o = 0; o < OWN; ++o)
    if (own.there[o]) room[(p.team * TRIALS + own.trial[o]) * UNITS + own.unit[o]] = value(o);
  BLOCK_BARRIER;
  for (int unit = threadIdx.x; unit < UNITS; unit += THREADS) {
    real* at = target(unit);
    real sum = *at;
    for (int k = 0; k < p.inside; ++k) sum += room[k * UNITS + unit];
    *at = sum;
  }
}

// what a thread sums on the way back: of its patch of W and F, and of the pairs that it owns
template <bool GIVEN>
struct Sums {
  static constexpr int OUTPUTS = GIVEN ? 1 : OUTPUT;        // of what belongs to an output
  static constexpr int FIRST = SLICES == 1 ? TRIALS : OWN;  // only these may be of unit 0
  real of_w[UNITS_OF * SUMS][HIDDEN_SLICE], of_f[UNITS_OF * SUMS][INPUT_SLICE];
  real of_bias[OWN][BIASES], of_c[OUTPUTS][OWN * WIDTH], of_d[OUTPUTS][FIRST];
  real squares[FIRST];  // of the errors, since they were added to `loss`
  double loss[FIRST];
  real dh[OWN * WIDTH], carried[OWN];  // gradients of the present states

  __device__ Sums() {
#pragma unroll
    for (int r = 0; r < UNITS_OF * SUMS; ++r) {
#pragma unroll
      for (int j = 0; j < HIDDEN_SLICE; ++j) of_w[r][j] = 0;
#pragma unroll
      for (int j = 0; j < INPUT_SLICE; ++j) of_f[r][j] = 0;
    }
#pragma unroll
    for (int o = 0; o < OWN; ++o) {
      carried[o] = 0;
#pragma unroll
      for (int j = 0; j < BIASES; ++j) of_bias[o][j] = 0;
    }
#pragma unroll
    for (int k = 0; k < OUTPUTS; ++k) {
#pragma unroll
      for (int o = 0; o < OWN * WIDTH; ++o) of_c[k][o] = dh[o] = 0;
#pragma unroll
      for (int o = 0; o < FIRST; ++o) of_d[k][o] = squares[o] = 0, loss[o] = 0;
    }
  }
};

// g (K) += the sums of W and F, team after team, so that trials are added in their order
template <bool GIVEN>
__device__ inline void add_products(const Place& p, const Sums<GIVEN>& sums, real* g) {
  for (int turn = 0; turn * TRIALS < p.inside; ++turn) {
    BLOCK_BARRIER;
    if (p.team == turn) {
#pragma unroll
      for (int r = 0; r < UNITS_OF * SUMS; ++r) {
        const int unit = p.lane + r / SUMS * LANES, k = r % SUMS;
#pragma unroll
        for (int j = 0; j < HIDDEN_SLICE; ++j) {
          const int column = j * SLICES + p.slice;
          if (has_state(k) && unit < UNITS && column < HIDDEN)
            g[OFFSET_W + state_row(k, unit) * HIDDEN + column] += sums.of_w[r][j];
        }
#pragma unroll
        for (int j = 0; j < INPUT_SLICE; ++j) {
          const int column = j * SLICES + p.slice;
          if (has_input(k) && unit < UNITS && column < INPUT)
            g[OFFSET_F + row_of(k, unit) * INPUT + column] += sums.of_f[r][j];
        }
      }
    }
  }
}

// g (K) += the sums of what belongs to a unit or an output, and *loss += the sum of the losses
template <bool GIVEN>
__device__ inline void add_owned(const Arguments& a, const Place& p, const Owned& own,
                                 const Sums<GIVEN>& sums, real scale, real* g, double* loss,
                                 real* shared) {
  real* room = shared + EXCHANGE;
  double* losses = reinterpret_cast<double*>(shared + LOSSES);
#pragma unroll
  for (int j = 0; j < BIASES; ++j) {
    if (has_input(j))
      add_over_trials(p, own, room, [&](int o) { return sums.of_bias[o][j]; },
                      [&](int unit) { return g + OFFSET_B + (WIDTH == 2 ? unit : row_of(j, unit)); });
    if (SPLIT && has_state(j))
      add_over_trials(p, own, room, [&](int o) { return sums.of_bias[o][j]; },
                      [&](int unit) { return g + OFFSET_B_H + state_row(j, unit); });
  }
  if constexpr (GIVEN) {
#pragma unroll
    for (int o = 0; o < OWN; ++o)
      if (own.there[o] && p.has(own.trial[o])) {
        real* at = a.of_initial + p.target[own.trial[o]] * STATES * HIDDEN + own.unit[o] * WIDTH;
#pragma unroll
        for (int v = 0; v < WIDTH; ++v) at[v] = sums.dh[o * WIDTH + v];
        if (CELL_STATE) at[HIDDEN] = sums.carried[o];
      }
  } else {
#pragma unroll
    for (int k = 0; k < OUTPUT; ++k)
#pragma unroll
      for (int v = 0; v < WIDTH; ++v)
        add_over_trials(p, own, room, [&](int o) { return scale * sums.of_c[k][o * WIDTH + v]; },
                        [&](int unit) { return g + OFFSET_C + k * HIDDEN + unit * WIDTH + v; });
#pragma unroll
    for (int v = 0; v < WIDTH; ++v)
      add_over_trials(p, own, room, [&](int o) { return sums.dh[o * WIDTH + v]; },
                      [&](int unit) { return g + OFFSET_H_INIT + unit * WIDTH + v; });
    if (CELL_STATE)
      add_over_trials(p, own, room, [&](int o) { return sums.carried[o]; },
                      [&](int unit) { return g + OFFSET_C_INIT + unit; });
    // what the owners of the first unit have: the gradient of d, and the sum of squares
#pragma unroll
    for (int o = 0; o < Sums<GIVEN>::FIRST; ++o)
      if (own.unit[o] == 0) {
        const int item = p.team * TRIALS + own.trial[o];
        if (!AT_LAST) losses[item] = sums.loss[o] + sums.squares[o];
#pragma unroll
        for (int k = 0; k < OUTPUT; ++k) shared[ERRORS + item * OUTPUT + k] = sums.of_d[k][o];
      }
    BLOCK_BARRIER;
    for (int k = threadIdx.x; k < OUTPUT; k += THREADS) {
      real sum = g[OFFSET_D + k];
      for (int item = 0; item < p.inside; ++item) sum += scale * shared[ERRORS + item * OUTPUT + k];
      g[OFFSET_D + k] = sum;
    }
    if (threadIdx.x == 0)
      for (int item = 0; item < p.inside; ++item) *loss += losses[item];
    BLOCK_BARRIER;
  }
}

// The gradient of scale / 2 times the sum of the squares, or of scale times that of the
// cross-entropies, or with GIVEN that which `upstream` says: g (K) += it, and *loss += the sum of
// the squares or cross-entropies. g and loss are the block's own.
template <bool GIVEN>
__device__ inline void backward(const Arguments& a, const Place& p, const real* theta, real* S,
                                real scale, real* g, double* loss, real* shared) {
  constexpr bool SQUARED = !GIVEN && !AT_LAST;
  constexpr int OUTPUTS = Sums<GIVEN>::OUTPUTS, FIRST = Sums<GIVEN>::FIRST;
  const Owned own(p);
  const int T = int(a.length);
  real wt[UNITS_OF * WIDTH][UNIT_SLICE * SUMS];
#pragma unroll
  for (int r = 0; r < UNITS_OF * WIDTH; ++r)
#pragma unroll
    for (int j = 0; j < UNIT_SLICE * SUMS; ++j) {
      const int unit = p.lane + r / WIDTH * LANES, other = j / SUMS * SLICES + p.slice;
      const int k = j % SUMS;
      const bool there = unit < UNITS && other < UNITS && has_state(k);
      wt[r][j] = there ? theta[OFFSET_W + state_row(k, other) * HIDDEN + unit * WIDTH + r % WIDTH]
                       : real(0);
    }
  real after[OWN][VALUES];
  Sums<GIVEN> sums;
#pragma unroll
  for (int o = 0; o < OWN; ++o) {
    const int unit = own.there[o] ? own.unit[o] : 0;
    if (GIVEN && CELL_STATE && a.upstream_last && own.there[o] && p.has(own.trial[o]))
      sums.carried[o] = a.upstream_last[p.target[own.trial[o]] * HIDDEN + unit];
#pragma unroll
    for (int v = 0; v < VALUES; ++v) after[o][v] = 0;
  }
  // scale * C at output k, of a thread's own unit
  auto readout_weight = [&](int k, int o, int v) {
    const int column = (own.there[o] ? own.unit[o] : 0) * WIDTH + v;
    return !GIVEN && own.there[o] ? scale * theta[OFFSET_C + k * HIDDEN + column] : real(0);
  };
  // needed at every step, so kept in registers; with AT_LAST only once
  constexpr int KEPT_OUTPUTS = SQUARED ? OUTPUTS : 1;
  real c[KEPT_OUTPUTS][OWN * WIDTH];
#pragma unroll
  for (int k = 0; k < KEPT_OUTPUTS; ++k)
#pragma unroll
    for (int o = 0; o < OWN; ++o)
#pragma unroll
      for (int v = 0; v < WIDTH; ++v)
        c[k][o * WIDTH + v] = SQUARED ? readout_weight(k, o, v) : real(0);
  real* exchange = shared + EXCHANGE + 2 * p.team * EXCHANGE_ROW;
  real* E = shared + ERRORS + p.team * ERROR_ROWS * OUTPUT_ROW;
  double* losses = reinterpret_cast<double*>(shared + LOSSES);
  real* staged = shared + STAGE + 2 * p.team * STAGED;
  const int chunks = T / CHUNK + 1;  // of the T + 1 rows
  auto stage = [&](int chunk) {
    real* to = staged + chunk % 2 * STAGED;
    stage_inputs(a, p, chunk * CHUNK, to);
    stage_states<SQUARED>(a, p, S, chunk * CHUNK, to + CHUNK * INPUT_ROW,
                          to + CHUNK * (INPUT_ROW + STATE_ROW));
    commit_copies();
  };
  TEAM_BARRIER;  // the states are those of the team's other threads, too
  stage(chunks - 1);
  for (int chunk = chunks - 1; chunk >= 0; --chunk) {
    const int begin = chunk * CHUNK;
    const real* X = staged + chunk % 2 * STAGED;
    const real *H = X + CHUNK * INPUT_ROW, *Y = H + CHUNK * STATE_ROW;
    TEAM_BARRIER;
    if (chunk > 0) stage(chunk - 1);
    else commit_copies();
    wait_but_one();
    TEAM_BARRIER;
    if (SQUARED) squared_errors(a, p, theta, H, Y, begin, E);
    if (!GIVEN && AT_LAST && chunk == chunks - 1)
      label_errors(a, p, theta, H + (T - begin) * STATE_ROW, E, losses + p.team * TRIALS);
    if (!GIVEN) TEAM_BARRIER;
#pragma unroll 1
    for (int i = T - begin < CHUNK - 1 ? T - begin : CHUNK - 1; i >= 0; --i) {
      const int row = begin + i;
      real before[OWN][VALUES], of_readout[OWN * WIDTH];
#pragma unroll
      for (int o = 0; o < OWN; ++o) {
        const int unit = own.there[o] ? own.unit[o] : 0;
#pragma unroll
        for (int v = 0; v < VALUES; ++v)
          before[o][v] = H[i * STATE_ROW + state_place(v, unit, own.trial[o])];
#pragma unroll
        for (int v = 0; v < WIDTH; ++v) {
          real& sum = of_readout[o * WIDTH + v];
          sum = 0;
          if (GIVEN && row > 0 && own.there[o] && p.has(own.trial[o]))
            sum = a.upstream[(p.target[own.trial[o]] * T + row - 1) * HIDDEN + unit * WIDTH + v];
        }
      }
      if (SQUARED || (!GIVEN && row == T)) {
        const real* errors = E + (AT_LAST ? 0 : i * OUTPUT_ROW);
#pragma unroll
        for (int k = 0; k < OUTPUTS; ++k)
#pragma unroll
          for (int o = 0; o < OWN; ++o) {
            const real error = errors[k * TRIALS + own.trial[o]];
#pragma unroll
            for (int v = 0; v < WIDTH; ++v) {
              real &sum = of_readout[o * WIDTH + v], &of_c = sums.of_c[k][o * WIDTH + v];
              const real weight = SQUARED ? c[k % KEPT_OUTPUTS][o * WIDTH + v] : readout_weight(k, o, v);
              sum = fused(weight, error, sum);
              of_c = fused(error, before[o][v], of_c);
            }
            if (o < FIRST) {
              sums.of_d[k][o] += error;
              sums.squares[o] = fused(error, error, sums.squares[o]);
            }
          }
        // at rows that no layout changes
        if (SQUARED && (row & 15) == 0)
#pragma unroll
          for (int o = 0; o < FIRST; ++o) sums.loss[o] += sums.squares[o], sums.squares[o] = 0;
      }
      if (row < T) {
        real* to = exchange + (row & 1) * EXCHANGE_ROW;
        real d[OWN * SUMS];
#pragma unroll
        for (int o = 0; o < OWN; ++o) {
          real of_bias[BIASES];
          unit_backward(sums.dh + o * WIDTH, before[o], after[o], sums.carried[o],
                        d + o * SUMS, of_bias);
#pragma unroll
          for (int j = 0; j < BIASES; ++j) sums.of_bias[o][j] += of_bias[j];
#pragma unroll
          for (int k = 0; k < SUMS; ++k)
            if (own.there[o]) to[(own.unit[o] * SUMS + k) * TRIALS + own.trial[o]] = d[o * SUMS + k];
        }
        TEAM_BARRIER;
        real delta[UNITS_OF * SUMS][TRIALS];  // of this thread's rows
#pragma unroll
        for (int r = 0; r < UNITS_OF * SUMS; ++r) {
          const int unit = p.lane + r / SUMS * LANES;
#pragma unroll
          for (int b = 0; b < TRIALS; ++b)
            if constexpr (SLICES == 1)
              delta[r][b] = d[(r / SUMS * TRIALS + b) * SUMS + r % SUMS];
            else
              delta[r][b] = unit < UNITS ? to[(unit * SUMS + r % SUMS) * TRIALS + b] : real(0);
        }
        real sum[2][PAIRS * WIDTH];
#pragma unroll
        for (int k = 0; k < PAIRS * WIDTH; ++k) sum[0][k] = sum[1][k] = 0;
        each_column<UNIT_SLICE, SUMS, UNITS>(to, p.slice, [&](int j, const real* v) {
          const int chain = SLICES == 1 ? j & 1 : 0;
          if (has_state(j % SUMS))
#pragma unroll
            for (int r = 0; r < UNITS_OF * WIDTH; ++r)
#pragma unroll
              for (int b = 0; b < TRIALS; ++b) {
                real& s = sum[chain][(r / WIDTH * TRIALS + b) * WIDTH + r % WIDTH];
                s = fused(wt[r][j], v[b], s);
              }
        });
        each_column<HIDDEN_SLICE, 1, HIDDEN>(H + i * STATE_ROW, p.slice, [&](int j, const real* v) {
#pragma unroll
          for (int r = 0; r < UNITS_OF * SUMS; ++r)
            if (has_state(r % SUMS))
#pragma unroll
              for (int b = 0; b < TRIALS; ++b) sums.of_w[r][j] = fused(delta[r][b], v[b], sums.of_w[r][j]);
        });
        each_column<INPUT_SLICE, 1, INPUT>(X + i * INPUT_ROW, p.slice, [&](int j, const real* v) {
#pragma unroll
          for (int r = 0; r < UNITS_OF * SUMS; ++r)
            if (has_input(r % SUMS))
#pragma unroll
              for (int b = 0; b < TRIALS; ++b) sums.of_f[r][j] = fused(delta[r][b], v[b], sums.of_f[r][j]);
        });
        if (GIVEN && a.deltas) {
          real* kept = a.deltas + (((long long)blockIdx.x * T + row) * TEAMS + p.team) * DELTA_ROW;
#pragma unroll
          for (int o = 0; o < OWN; ++o)
#pragma unroll
            for (int k = 0; k < SUMS; ++k)
              if (own.there[o])
                kept[(own.unit[o] * SUMS + k) * TRIALS + own.trial[o]] = d[o * SUMS + k];
        }
        if (SLICES == 1)
#pragma unroll
          for (int k = 0; k < PAIRS * WIDTH; ++k) sum[0][k] += sum[1][k];
        join_slices<WIDTH>(sum[0], p.slice, sums.dh);
      }
#pragma unroll
      for (int o = 0; o < OWN; ++o) {
#pragma unroll
        for (int v = 0; v < WIDTH; ++v) sums.dh[o * WIDTH + v] += of_readout[o * WIDTH + v];
#pragma unroll
        for (int v = 0; v < VALUES; ++v) after[o][v] = before[o][v];
      }
    }
  }
  wait_all();
  if (CARRIED && !CELL_STATE)
#pragma unroll
    for (int o = 0; o < OWN; ++o) sums.dh[o] += sums.carried[o];
  add_products(p, sums, g);
  add_owned(a, p, own, sums, scale, g, loss, shared);
}
