// Where a thread of a block stands, and what it reads. The states of all time steps lie in a workspace
// in global memory, row r holding those before step r (row 0: the initial ones),
// [row][team][value][trial]. What is read once a step comes to shared memory a chunk of steps ahead.

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
