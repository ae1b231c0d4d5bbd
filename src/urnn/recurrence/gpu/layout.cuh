// How the trials of a replica are spread over the threads of a block, and where things lie.
//
// A *team* of TEAM = LANES * SLICES threads has TRIALS trials; a block has TEAMS teams. Thread
// (i, s) of a team has the rows of the units i, i + LANES, ... (ROWS_OF units, with SUMS rows each)
// and of these rows the columns s, s + SLICES, ...: a patch of W and F in registers. The slices'
// sums are added by shuffles, which halve what a thread holds each time, and so each thread comes to
// own OWN pairs of a unit and a trial. With one slice it owns all of its pairs.
//
// A unit is a hidden unit, or with WIDTH 2 the pair of hidden units that are the real and imaginary
// part of a complex one. It has SUMS sums: rows of gates, and for a cell whose sides are SPLIT the
// last gate's recurrent side apart, after the gates.
constexpr int UNITS = HIDDEN / WIDTH;
constexpr int GATE_ROWS = GATES * WIDTH;
constexpr int SUMS = GATE_ROWS + SPLIT;
constexpr int BIASES = WIDTH == 2 ? 1 : SUMS;  // of a complex unit there is one, which is not added
constexpr int VALUES = WIDTH + KEPT;           // of a unit and time step: h, then what is kept
constexpr int STATES = 1 + CELL_STATE;

constexpr int TEAM = LANES * SLICES;
constexpr int THREADS = TEAMS * TEAM;
constexpr int TILE = TEAMS * TRIALS;  // trials of a block at once
constexpr int UNITS_OF = (UNITS + LANES - 1) / LANES;
constexpr int PAIRS = UNITS_OF * TRIALS;
constexpr int OWN = PAIRS / SLICES;
constexpr int LEVELS = SLICES == 1 ? 0 : SLICES == 2 ? 1 : SLICES == 4 ? 2 : SLICES == 8 ? 3
                     : SLICES == 16 ? 4 : 5;
constexpr int HIDDEN_SLICE = (HIDDEN + SLICES - 1) / SLICES;
constexpr int INPUT_SLICE = (INPUT + SLICES - 1) / SLICES;
constexpr int UNIT_SLICE = (UNITS + SLICES - 1) / SLICES;
static_assert(THREADS % 32 == 0 && (TEAM <= 32 ? 32 % TEAM == 0 : TEAM % 32 == 0), "whole warps");
static_assert(PAIRS % SLICES == 0 && 1 << LEVELS == SLICES, "every slice owns as many pairs");

// rows of W and F in theta of sum k of a unit; -1 where the sum has none
__device__ constexpr int row_of(int k, int unit) {
  return WIDTH == 2 ? unit * 2 + k : k * HIDDEN + unit;
}
__device__ constexpr bool has_input(int k) { return k < GATE_ROWS; }
__device__ constexpr bool has_state(int k) { return !SPLIT || k != GATE_ROWS - 1; }
__device__ constexpr int state_row(int k, int unit) {
  return row_of(SPLIT && k == GATE_ROWS ? GATE_ROWS - 1 : k, unit);
}

// rows of four values each, so that threads can read four at once
__device__ constexpr int padded(int count) { return (count + 3) / 4 * 4; }
constexpr int PADDED_HIDDEN = padded(HIDDEN), PADDED_UNITS = padded(UNITS);
constexpr int PADDED_INPUT = padded(INPUT), PADDED_OUTPUT = padded(OUTPUT);
// of a team and a time step, each [value][trial]: the states with what is kept, h first
constexpr int STATE_ROW = (PADDED_HIDDEN + KEPT * PADDED_UNITS) * TRIALS;
constexpr int INPUT_ROW = PADDED_INPUT * TRIALS, OUTPUT_ROW = PADDED_OUTPUT * TRIALS;
constexpr int DELTA_ROW = padded(UNITS * SUMS) * TRIALS;

// the shared memory of a block, in reals; CHUNK time steps are staged there at once, twice
constexpr int EXCHANGE_ROW = DELTA_ROW > PADDED_HIDDEN * TRIALS ? DELTA_ROW : PADDED_HIDDEN * TRIALS;
constexpr int EXCHANGE = 0;
constexpr int ERROR_ROWS = AT_LAST ? 1 : CHUNK;
constexpr int ERRORS = EXCHANGE + 2 * TEAMS * EXCHANGE_ROW;
constexpr int LOSSES = ERRORS + TEAMS * ERROR_ROWS * OUTPUT_ROW;  // of the trials, double
constexpr int STAGE = LOSSES + padded(2 * TILE);
constexpr int STAGED = CHUNK * (INPUT_ROW + STATE_ROW + (AT_LAST ? 0 : OUTPUT_ROW));
constexpr int PASSES_SHARED = STAGE + 2 * TEAMS * STAGED;
// partial sums of the update of parameters, double
constexpr int PARTIAL_SUMS = 256;
constexpr int SHARED = PASSES_SHARED > 2 * PARTIAL_SUMS ? PASSES_SHARED : 2 * PARTIAL_SUMS;
static_assert(SHARED == SHARED_REALS && STATE_ROW == STATE_ROW_REALS && DELTA_ROW == DELTA_ROW_REALS,
              "the host has the same layout");
