// Forward and back through time. The states of all time steps lie in a workspace in global memory,
// row r holding those before step r (row 0: the initial ones), [row][team][value][trial]. What is
// read once a step comes to shared memory a chunk of steps ahead.

// the arguments of every kernel; null and 0 for what a kernel does not use
struct Arguments {
  real* theta;               // (R, K)
  const real* x;             // (S, N, time, input)
  const void* y;             // (S, N, time, output) real, or labels (S, N) int64
  const long long* dataset;  // (R): which of the S
  const long long* trials;   // (R, columns): which of the N; null: each trial in its place
  const real* initial;       // (R, B, STATES, n): initial states of each trial; null: theta's
  real* gradient;            // (R, K)
  double* loss;              // (R)
  real* partial;             // (item, K): the gradient of a part of a batch
  double* partial_loss;      // (item)
  real* workspace;           // (block, time + 1, team, STATE_ROW)
  real* outputs;             // (R, B, time, output), AT_LAST (R, B, output)
  real* states;              // (R, B, time, n)
  real* last;                // (R, B, n): the last cell state
  const real* upstream;      // (R, B, time, n): the loss's gradient with respect to the states
  const real* upstream_last; // (R, B, n): the same of the last cell state, or null
  real* of_initial;          // (R, B, STATES, n): gradient of the initial states
  real* of_x;                // (R, B, time, input), or null
  real* deltas;              // (block, time, team, DELTA_ROW): room for of_x
  real* first_state;         // (R, K): what the optimizer remembers
  real* second_state;
  real* scratch;             // (block, 3, n, n): room for the retraction
  const real* rates;         // (steps): the optimizer's rate of each step
  double* total;             // (R): sum over the trials of the losses
  long long* taken;          // (R): steps taken
  signed char* ended;        // (R): not 0 once a replica has ended
  long long replicas, parts, batch, columns, first, number, length, steps, used, batch_size, step;
  double largest_norm;       // 0: no clipping
  long long train_initial_state;
};

__device__ inline void team_barrier() {
  if (TEAM > 32) __syncthreads();
  else if (TEAM > 1) __syncwarp();
}

// where a thread stands: its team's trials of the present tile, and its place in the team
struct Place {
  int team, member, lane, slice;
  long long source[TRIALS];  // of the S N trials of the data
  long long target[TRIALS];  // of the R B trials of a batch
  int inside;                // trials that the tile has; the team's others repeat the batch's first

  __device__ bool has(int trial) const { return team * TRIALS + trial < inside; }
};

__device__ inline Place place(const Arguments& a, int replica, int tile) {
  Place p;
  p.team = threadIdx.x / TEAM, p.member = threadIdx.x % TEAM;
  p.lane = p.member / SLICES, p.slice = p.member % SLICES;
  const int left = int(a.batch) - tile * TILE;
  p.inside = left < TILE ? left : TILE;
#pragma unroll
  for (int b = 0; b < TRIALS; ++b) {
    int item = tile * TILE + (p.has(b) ? p.team * TRIALS + b : 0);
    long long chosen = a.trials ? a.trials[replica * a.columns + a.first + item] : item;
    p.source[b] = a.dataset[replica] * a.number + chosen;
    p.target[b] = replica * a.batch + item;
  }
  return p;
}

// the pairs of a unit and a trial that a thread owns
struct Owned {
  int unit[OWN], trial[OWN];
  bool there[OWN];  // else the team has more places than units

  __device__ explicit Owned(const Place& p) {
    int start = 0;
#pragma unroll
    for (int level = 1; level <= LEVELS; ++level)
      start += p.slice & (SLICES >> level) ? PAIRS >> level : 0;
#pragma unroll
    for (int o = 0; o < OWN; ++o) {
      int u = (start + o) / TRIALS;
      trial[o] = (start + o) % TRIALS;
      unit[o] = p.lane + u * LANES;
      there[o] = unit[o] < UNITS;
    }
  }
};

// f(column, values of the trials) of a slice's columns; GROUP of them lie side by side
template <int COLUMNS, int GROUP, int LIMIT, class F>
__device__ inline void each_column(const real* from, int slice, F f) {
  constexpr int COUNT = COLUMNS * GROUP;
  constexpr int UNROLLED = COUNT <= 256 ? COUNT : 1;  // more would compile for minutes
  if constexpr (SLICES == 1 && TRIALS == 1) {
#pragma unroll UNROLLED
    for (int c = 0; c < COUNT; c += 4) {
      Four four = *reinterpret_cast<const Four*>(from + c);
#pragma unroll
      for (int k = 0; k < 4; ++k)
        if (c + k < COUNT) f(c + k, four.v + k);
    }
  } else {
#pragma unroll UNROLLED
    for (int c = 0; c < COLUMNS; ++c) {
      const int at = c * SLICES + slice;
#pragma unroll
      for (int k = 0; k < GROUP; ++k) {
        real v[TRIALS];
        const bool there = COLUMNS * SLICES == LIMIT || at < LIMIT;
        const real* values = from + ((there ? at : 0) * GROUP + k) * TRIALS;
        if constexpr (TRIALS == 4) {
          Four four = *reinterpret_cast<const Four*>(values);
#pragma unroll
          for (int b = 0; b < TRIALS; ++b) v[b] = there ? four.v[b] : real(0);
        } else {
#pragma unroll
          for (int b = 0; b < TRIALS; ++b) v[b] = there ? values[b] : real(0);
        }
        f(c * GROUP + k, v);
      }
    }
  }
}

// the sums over the slices, EACH for every pair, of the pairs that a thread owns
template <int EACH>
__device__ inline void join_slices(real (&sum)[PAIRS * EACH], int slice, real (&own)[OWN * EACH]) {
#pragma unroll
  for (int level = 1; level <= LEVELS; ++level) {
    const int bit = SLICES >> level, count = PAIRS * EACH >> level;
    const bool upper = slice & bit;
#pragma unroll
    for (int k = 0; k < PAIRS * EACH / 2; ++k)
      if (k < count) {
        real keep = upper ? sum[count + k] : sum[k], give = upper ? sum[k] : sum[count + k];
        sum[k] = keep + shuffle_xor(give, bit);
      }
  }
#pragma unroll
  for (int k = 0; k < OWN * EACH; ++k) own[k] = sum[k];
}

// where value v of a unit is in a row of states
__device__ inline int state_place(int v, int unit, int trial) {
  return v < WIDTH ? (unit * WIDTH + v) * TRIALS + trial
                   : PADDED_HIDDEN * TRIALS + ((v - WIDTH) * PADDED_UNITS + unit) * TRIALS + trial;
}

// a chunk of inputs from step `begin` on: to [step][input][trial]
__device__ inline void stage_inputs(const Arguments& a, const Place& p, int begin, real* to) {
  for (int i = p.member; i < CHUNK * INPUT * TRIALS; i += TEAM) {
    const int step = i / (INPUT * TRIALS), k = i % INPUT, b = i / INPUT % TRIALS;
    const int t = begin + step < a.length ? begin + step : int(a.length) - 1;
    copy_async(to + step * INPUT_ROW + k * TRIALS + b,
               a.x + (p.source[b] * a.length + t) * INPUT + k);
  }
}

// a chunk of rows of states from row `begin` on, and the targets that belong to them
template <bool TARGETS>
__device__ inline void stage_states(const Arguments& a, const Place& p, const real* S, int begin,
                                    real* to, real* targets) {
  const int rows = int(a.length) + 1;
  for (int i = p.member; i < CHUNK * STATE_ROW / 4; i += TEAM) {
    const int step = i / (STATE_ROW / 4), at = i % (STATE_ROW / 4) * 4;
    const int row = begin + step < rows ? begin + step : rows - 1;
    copy_four_async(to + step * STATE_ROW + at,
                    S + ((long long)row * TEAMS + p.team) * STATE_ROW + at);
  }
  if (TARGETS)
    for (int i = p.member; i < CHUNK * OUTPUT * TRIALS; i += TEAM) {
      const int step = i / (OUTPUT * TRIALS), k = i % OUTPUT, b = i / OUTPUT % TRIALS;
      int t = begin + step - 1;  // row t + 1 has the state that output t is read from
      t = t < 0 ? 0 : t < a.length ? t : int(a.length) - 1;
      copy_async(targets + step * OUTPUT_ROW + k * TRIALS + b,
                 static_cast<const real*>(a.y) + (p.source[b] * a.length + t) * OUTPUT + k);
    }
}

// initial values of a unit: its states, and 0 for what else is kept
__device__ inline void start_unit(const Arguments& a, const Place& p, const real* theta, int unit,
                                  int trial, real* values) {
#pragma unroll
  for (int v = 0; v < VALUES; ++v) {
    const bool cell = CELL_STATE && v == VALUES - 1;
    values[v] = 0;
    if (v < WIDTH || cell) {
      const int state = cell ? 1 : 0, n = cell ? unit : unit * WIDTH + v;
      values[v] = a.initial ? a.initial[(p.target[trial] * STATES + state) * HIDDEN + n]
                            : theta[(cell ? OFFSET_C_INIT : OFFSET_H_INIT) + n];
    }
  }
}

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

// output k of a staged state
__device__ inline real readout(const real* theta, const real* h, int k, int trial) {
  real sum = theta[OFFSET_D + k];
  for (int j = 0; j < HIDDEN; ++j)
    sum = fused(theta[OFFSET_C + k * HIDDEN + j], h[j * TRIALS + trial], sum);
  return sum;
}

// the errors of a chunk's rows from `begin` on, unscaled: C h + d - y of every row but the first
__device__ inline void squared_errors(const Arguments& a, const Place& p, const real* theta,
                                      const real* H, const real* Y, int begin, real* E) {
  for (int i = p.member; i < CHUNK * OUTPUT * TRIALS; i += TEAM) {
    const int step = i / (OUTPUT * TRIALS), b = i % TRIALS, k = i / TRIALS % OUTPUT;
    const int row = begin + step;
    real error = 0;
    if (row > 0 && row <= a.length && p.has(b))
      error = readout(theta, H + step * STATE_ROW, k, b) - Y[step * OUTPUT_ROW + k * TRIALS + b];
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
  real wt[UNITS_OF * WIDTH][UNIT_SLICE * SUMS], c[OUTPUTS][OWN * WIDTH];
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
  real own_bias[OWN], after[OWN][VALUES];
  Sums<GIVEN> sums;
#pragma unroll
  for (int o = 0; o < OWN; ++o) {
    const int unit = own.there[o] ? own.unit[o] : 0;
    own_bias[o] = WIDTH == 2 ? theta[OFFSET_B + unit] : real(0);
    if (GIVEN && CELL_STATE && a.upstream_last && own.there[o] && p.has(own.trial[o]))
      sums.carried[o] = a.upstream_last[p.target[own.trial[o]] * HIDDEN + unit];
#pragma unroll
    for (int v = 0; v < VALUES; ++v) after[o][v] = 0;
#pragma unroll
    for (int k = 0; k < OUTPUTS * WIDTH; ++k) {
      const int output = k / WIDTH, column = unit * WIDTH + k % WIDTH;
      const bool read = !GIVEN && own.there[o];
      c[output][o * WIDTH + k % WIDTH] =
          read ? scale * theta[OFFSET_C + output * HIDDEN + column] : real(0);
    }
  }
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
              sum = fused(c[k][o * WIDTH + v], error, sum);
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
          unit_backward(sums.dh + o * WIDTH, own_bias[o], before[o], after[o], sums.carried[o],
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
