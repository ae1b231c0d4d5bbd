// Blocks of CUDA C++ on a CPU, for tests: every thread of a block is a fiber, and barriers switch
// fibers. The fibers run in ascending (seed 0) or descending order (1), each until its next barrier,
// or (2, 3, ...) in an order that is shuffled every time, and one warp for some time before others:
// code with a missing barrier reads what is not there yet, or what is overwritten already, for some
// seed. Shared memory starts as NaN.
// Asynchronous copies arrive as late as they may (seed 0), at once (1), or each as chance has it. The
// barriers of the source are numbered; one of them can be left out.
#include <cmath>
#include <math.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define __global__
#define __device__
#define __align__(n) alignas(n)
#define __launch_bounds__(...)

namespace emulator {
#if defined(__x86_64__)
// ucontext asks the kernel for the signal mask at every switch, which takes a hundred times as long
struct Context {
  void* stack_pointer = nullptr;
};
extern "C" void emulator_switch(void** from, void* to);
asm(R"(
.text
.globl emulator_switch
.hidden emulator_switch
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
)");
inline void switch_to(Context& from, Context& to) {
  emulator_switch(&from.stack_pointer, to.stack_pointer);
}
inline void prepare(Context& context, char* stack, std::size_t size, void (*entry)()) {
  // six registers and the address that the switch returns to; then the stack is as after a call
  auto top = reinterpret_cast<std::uintptr_t>(stack + size) / 16 * 16;
  auto* words = reinterpret_cast<void**>(top) - 8;
  for (int k = 0; k < 8; ++k) words[k] = nullptr;
  words[6] = reinterpret_cast<void*>(entry);
  context.stack_pointer = words;
}
#else
struct Context {
  ucontext_t context;
};
inline void switch_to(Context& from, Context& to) { swapcontext(&from.context, &to.context); }
inline void prepare(Context& context, char* stack, std::size_t size, void (*entry)()) {
  getcontext(&context.context);
  context.context.uc_stack.ss_sp = stack;
  context.context.uc_stack.ss_size = size;
  context.context.uc_link = nullptr;
  makecontext(&context.context, entry, 0);
}
#endif

struct Index {
  unsigned x = 0;
};
struct Barrier {
  unsigned waiting = 0, generation = 0;
};
struct Copy {
  void* to;
  const void* from;
  std::size_t size;
};
struct Fiber {
  Context context;
  bool done = false;
  int exchanges = 0;
  std::vector<std::vector<Copy>> copies;  // groups, the last one open
};

constexpr std::size_t STACK = 192 << 10;
inline Index block, grid, dim;
inline unsigned current;
inline int left_out = -1;
inline std::vector<Fiber> fibers;
inline std::vector<char> stacks;
inline Context scheduler;
alignas(64) inline unsigned char shared[256 << 10];
inline Barrier everyone;
inline std::vector<Barrier> warps;
inline std::vector<std::uint64_t> exchange;
inline void (*body)();
inline std::uint32_t state;
inline int copies_wait;  // 2: some
inline unsigned long idle;  // turns of fibers since a barrier let them go on, or one was done

inline void leave() { switch_to(fibers[current].context, scheduler); }
inline void wait(Barrier& barrier, unsigned members) {
  const unsigned generation = barrier.generation;
  if (++barrier.waiting == members) {
    barrier.waiting = 0;
    ++barrier.generation;
    idle = 0;
    leave();
    return;
  }
  while (barrier.generation == generation) leave();
}
inline void wait_for_warp() {
  const unsigned warp = current / 32, left = unsigned(fibers.size()) - 32 * warp;
  wait(warps[warp], left < 32 ? left : 32);
}
inline std::uint32_t random() {  // xorshift
  state ^= state << 13, state ^= state >> 17, state ^= state << 5;
  return state;
}
inline void run() {
  body();
  fibers[current].done = true;
  leave();
}
// whether all came to their end: with a barrier left out some may wait for others that never come
inline bool run_block(unsigned threads, int seed) {
  fibers.assign(threads, Fiber());
  warps.assign((threads + 31) / 32, Barrier());
  everyone = Barrier();
  exchange.assign(2 * threads, 0);
  stacks.resize(threads * STACK);
  std::memset(shared, 0xff, sizeof shared);  // NaN, of float and of double
  std::vector<unsigned> order(threads);
  for (unsigned i = 0; i < threads; ++i) {
    prepare(fibers[i].context, stacks.data() + i * STACK, STACK, run);
    fibers[i].copies.emplace_back();
    order[i] = seed == 1 ? threads - 1 - i : i;
  }
  state = 0x9e3779b9u * unsigned(seed) | 1;
  copies_wait = seed == 0 ? 1 : seed == 1 ? 0 : 2;
  unsigned left = threads, warp = 0, rounds = 0;
  idle = 0;
  while (left > 0) {
    if (seed > 1) {
      for (unsigned i = threads - 1; i > 0; --i) std::swap(order[i], order[random() % (i + 1)]);
      // one warp alone for a while, which may run ahead of the others up to a barrier of the block
      if (rounds-- == 0) warp = random() % unsigned(warps.size()), rounds = random() % 64;
    }
    for (unsigned i : order)
      if (!fibers[i].done && (seed < 2 || i / 32 == warp)) {
        current = i;
        switch_to(scheduler, fibers[i].context);
        if (fibers[i].done) --left, idle = 0;
        if (++idle > 10000ul * threads) return false;
      }
  }
  return true;
}
// at once, or as late as may be
inline void copy_sometime(void* to, const void* from, std::size_t size) {
  if (copies_wait == 2 ? random() & 1 : copies_wait)
    fibers[current].copies.back().push_back({to, from, size});
  else
    std::memcpy(to, from, size);
}
inline void arrive(std::size_t keep) {
  auto& copies = fibers[current].copies;  // the last group is open
  while (copies.size() > keep + 1) {
    for (const Copy& copy : copies.front()) std::memcpy(copy.to, copy.from, copy.size);
    copies.erase(copies.begin());
  }
}
struct Thread {
  struct {
    operator unsigned() const { return current; }
  } x;
};
}  // namespace emulator

static emulator::Thread threadIdx;
#define blockIdx emulator::block
#define gridDim emulator::grid
#define blockDim emulator::dim

inline void __syncthreads() {
  emulator::wait(emulator::everyone, unsigned(emulator::fibers.size()));
}
inline void __syncwarp() { emulator::wait_for_warp(); }
inline void team_barrier();
inline unsigned char* shared_memory() { return emulator::shared; }

template <int NUMBER, class F>
inline void barrier(F wait) {
  if (emulator::left_out != NUMBER) wait();
}
#define BLOCK_BARRIER barrier<__COUNTER__>(__syncthreads)
#define TEAM_BARRIER barrier<__COUNTER__>(team_barrier)

template <class T>
inline void copy_async(T* to, const T* from) {
  emulator::copy_sometime(to, from, sizeof(T));
}
template <class T>
inline void copy_four_async(T* to, const T* from) {
  // a GPU's copy would fail
  if (reinterpret_cast<std::uintptr_t>(to) % 16 || reinterpret_cast<std::uintptr_t>(from) % 16)
    std::abort();
  emulator::copy_sometime(to, from, 4 * sizeof(T));
}
inline void commit_copies() { emulator::fibers[emulator::current].copies.emplace_back(); }
inline void wait_but_one() { emulator::arrive(1); }
inline void wait_all() {
  commit_copies();
  emulator::arrive(0);
}

template <class T>
inline T shuffle_xor(T value, int bit) {
  auto& fiber = emulator::fibers[emulator::current];
  // two rooms in turn, so that one wait is enough
  std::uint64_t* room = emulator::exchange.data() + fiber.exchanges++ % 2 * emulator::fibers.size();
  std::memcpy(room + emulator::current, &value, sizeof value);
  emulator::wait_for_warp();
  std::memcpy(&value, room + (emulator::current ^ bit), sizeof value);
  return value;
}

using std::fma;
using std::frexp;
using std::ldexp;
using std::rint;
using std::sqrt;
using std::tanh;
