// After the kernels: their launches (an ENTRY for each), and how many barriers the source has.
constexpr int BARRIERS = __COUNTER__;
extern "C" int barriers() { return BARRIERS; }
extern "C" unsigned long size_of_arguments() { return sizeof(Arguments); }

static const Arguments* given;
static bool launch(void (*body)(), const Arguments* arguments, unsigned blocks, unsigned threads,
                   int seed, int left_out) {
  given = arguments;
  emulator::body = body;
  emulator::grid.x = blocks;
  emulator::dim.x = threads;
  emulator::left_out = left_out;
  for (unsigned block = 0; block < blocks; ++block) {
    emulator::block.x = block;
    if (!emulator::run_block(threads, seed)) return false;
  }
  return true;
}
#define ENTRY(kernel)                                                                          \
  extern "C" bool launch_##kernel(const Arguments* arguments, unsigned blocks, unsigned threads, \
                                  int seed, int left_out) {                                    \
    return launch([] { kernel(*given); }, arguments, blocks, threads, seed, left_out);         \
  }
