// The kernels. ITEM: a block takes items blockIdx.x, blockIdx.x + gridDim.x, ..., so that the
// workspace is that of the resident blocks.

// the scale of the gradient, and what the sum of the losses is divided by
__device__ inline double terms(const Arguments& a) {
  return AT_LAST ? double(a.batch) : double(a.batch) * double(a.length) * OUTPUT;
}

__device__ inline real* room_of_block(const Arguments& a) {
  return a.workspace + blockIdx.x * (a.length + 1) * TEAMS * STATE_ROW;
}

// g (K) and *loss of tiles first, first + stride, ... of a replica's batch
__device__ inline void add_tiles(const Arguments& a, int replica, int first, int stride, real* g,
                                 double* loss, real* shared) {
  const real* theta = a.theta + (long long)replica * PARAMETERS;
  const real scale = real((AT_LAST ? 1 : 2) / terms(a));
  for (int k = threadIdx.x; k < PARAMETERS; k += THREADS) g[k] = 0;
  if (threadIdx.x == 0) *loss = 0;
  for (int tile = first; tile * TILE < a.batch; tile += stride) {
    const Place p = place(a, replica, tile);
    forward(a, p, theta, room_of_block(a), shared);
    backward<false>(a, p, theta, room_of_block(a), scale, g, loss, shared);
  }
}

#if KERNEL_gradient
// partial (replica, part) and partial_loss; parts share the tiles of a batch
extern "C" __global__ void __launch_bounds__(THREADS, 1) gradient(Arguments a) {
  real* shared = reinterpret_cast<real*>(shared_memory());
  const long long items = a.replicas * a.parts;
  for (long long item = blockIdx.x; item < items; item += gridDim.x) {
    const int replica = int(item / a.parts), part = int(item % a.parts);
    if (a.ended && a.ended[replica]) continue;
    add_tiles(a, replica, part, int(a.parts), a.partial + item * PARAMETERS, a.partial_loss + item,
              shared);
  }
}
#endif

// a gradient and the loss of a replica from those of its parts, added in their order
__device__ inline double join_parts(const Arguments& a, int replica, real* g) {
  const real* partial = a.partial + replica * a.parts * PARAMETERS;
  for (int k = threadIdx.x; k < PARAMETERS; k += blockDim.x) {
    real sum = partial[k];
    for (int part = 1; part < a.parts; ++part) sum += partial[(long long)part * PARAMETERS + k];
    g[k] = sum;
  }
  double loss = 0;
  for (int part = 0; part < a.parts; ++part) loss += a.partial_loss[replica * a.parts + part];
  return loss / terms(a);
}

#if KERNEL_join
extern "C" __global__ void join(Arguments a) {
  for (int replica = blockIdx.x; replica < a.replicas; replica += gridDim.x) {
    const double loss = join_parts(a, replica, a.gradient + (long long)replica * PARAMETERS);
    if (threadIdx.x == 0) a.loss[replica] = loss;
  }
}
#endif

#if KERNEL_move
// a step of the optimizer, from the gradients of the parts
extern "C" __global__ void move(Arguments a) {
  double* room = reinterpret_cast<double*>(shared_memory());
  for (int replica = blockIdx.x; replica < a.replicas; replica += gridDim.x) {
    if (a.ended[replica]) continue;
    real* g = a.partial + replica * a.parts * PARAMETERS;  // in place of the first part
    const double loss = join_parts(a, replica, g);
    BLOCK_BARRIER;
    update(a, replica, a.theta + (long long)replica * PARAMETERS, g, loss, a.rates[a.step],
           a.scratch + (long long)blockIdx.x * 3 * ENTRIES, room);
  }
}
#endif

#if KERNEL_train
// `steps` steps of every replica, from batch `step` of the epoch on
extern "C" __global__ void __launch_bounds__(THREADS, 1) train(Arguments a) {
  real* shared = reinterpret_cast<real*>(shared_memory());
  for (int replica = blockIdx.x; replica < a.replicas; replica += gridDim.x) {
    if (a.ended[replica]) continue;
    real *g = a.partial + (long long)blockIdx.x * PARAMETERS, *theta = a.theta + (long long)replica * PARAMETERS;
    double* loss = a.partial_loss + blockIdx.x;
    for (int step = 0; step < a.steps; ++step) {
      Arguments now = a;
      now.first = (a.step + step) * a.batch_size;
      now.batch = a.used - now.first < a.batch_size ? a.used - now.first : a.batch_size;
      add_tiles(now, replica, 0, 1, g, loss, shared);
      if (!update(now, replica, theta, g, *loss / terms(now), a.rates[step],
                  a.scratch + (long long)blockIdx.x * 3 * ENTRIES,
                  reinterpret_cast<double*>(shared)))
        break;
    }
  }
}
#endif

#if KERNEL_outputs
// C h + d of all states, or AT_LAST of the last ones
extern "C" __global__ void __launch_bounds__(THREADS, 1) outputs(Arguments a) {
  real *shared = reinterpret_cast<real*>(shared_memory()), *S = room_of_block(a);
  const int T = int(a.length), tiles = int((a.batch + TILE - 1) / TILE), steps = AT_LAST ? 1 : T;
  for (long long item = blockIdx.x; item < a.replicas * tiles; item += gridDim.x) {
    const int replica = int(item / tiles);
    const Place p = place(a, replica, int(item % tiles));
    const real* theta = a.theta + (long long)replica * PARAMETERS;
    forward(a, p, theta, S, shared);
    TEAM_BARRIER;
    for (long long i = p.member; i < (long long)steps * OUTPUT * TRIALS; i += TEAM) {
      const int t = int(i / (OUTPUT * TRIALS)), k = int(i % OUTPUT), b = int(i / OUTPUT % TRIALS);
      const int row = AT_LAST ? T : t + 1;
      if (p.has(b))
        a.outputs[(p.target[b] * steps + t) * OUTPUT + k] =
            readout(theta, S + ((long long)row * TEAMS + p.team) * STATE_ROW, k, b);
    }
    // the next item's first barrier comes before it writes to a row that is read here
  }
}
#endif

#if KERNEL_states
// the states of all time steps, and the last cell states; with a block for every item the rows of
// the workspace are those that `pull` needs
extern "C" __global__ void __launch_bounds__(THREADS, 1) states(Arguments a) {
  real *shared = reinterpret_cast<real*>(shared_memory()), *S = room_of_block(a);
  const int T = int(a.length), tiles = int((a.batch + TILE - 1) / TILE);
  for (long long item = blockIdx.x; item < a.replicas * tiles; item += gridDim.x) {
    const int replica = int(item / tiles);
    const Place p = place(a, replica, int(item % tiles));
    forward(a, p, a.theta + (long long)replica * PARAMETERS, S, shared);
    TEAM_BARRIER;
    for (long long i = p.member; i < (long long)T * HIDDEN * TRIALS; i += TEAM) {
      const int t = int(i / (HIDDEN * TRIALS)), n = int(i % HIDDEN), b = int(i / HIDDEN % TRIALS);
      const real* row = S + ((long long)(t + 1) * TEAMS + p.team) * STATE_ROW;
      if (p.has(b)) {
        a.states[(p.target[b] * T + t) * HIDDEN + n] = row[n * TRIALS + b];
        if (CELL_STATE && t == T - 1)
          a.last[p.target[b] * HIDDEN + n] = row[state_place(VALUES - 1, n, b)];
      }
    }
    // as in `outputs`, the next item writes to none of these rows before its first barrier
  }
}
#endif

#if KERNEL_pull
// back from the gradients of the states; a block for every item, whose rows `states` has kept:
// partial (replica, tile) of the parameters, of_initial and of_x
extern "C" __global__ void __launch_bounds__(THREADS, 1) pull(Arguments a) {
  real* shared = reinterpret_cast<real*>(shared_memory());
  const int T = int(a.length), tiles = int((a.batch + TILE - 1) / TILE);
  const int replica = blockIdx.x / tiles;
  const real* theta = a.theta + (long long)replica * PARAMETERS;
  const Place p = place(a, replica, blockIdx.x % tiles);
  real* g = a.partial + (long long)blockIdx.x * PARAMETERS;
  for (int k = threadIdx.x; k < PARAMETERS; k += THREADS) g[k] = 0;
  if (threadIdx.x == 0) a.partial_loss[blockIdx.x] = 0;
  backward<true>(a, p, theta, room_of_block(a), 1, g, nullptr, shared);
  if (!a.deltas) return;
  for (long long i = p.member; i < (long long)T * INPUT * TRIALS; i += TEAM) {
    const int t = int(i / (INPUT * TRIALS)), m = int(i % INPUT), b = int(i / INPUT % TRIALS);
    const real* d = a.deltas + (((long long)blockIdx.x * T + t) * TEAMS + p.team) * DELTA_ROW;
    real sum = 0;
    for (int unit = 0; unit < UNITS; ++unit)
      for (int k = 0; k < GATE_ROWS; ++k)
        sum = fused(theta[OFFSET_F + row_of(k, unit) * INPUT + m], d[(unit * SUMS + k) * TRIALS + b], sum);
    if (p.has(b)) a.of_x[(p.target[b] * T + t) * INPUT + m] = sum;
  }
}
#endif
