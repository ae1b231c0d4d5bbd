// After the kernels: a launch of one of them, and how many barriers the source has.
static const Arguments* given;
extern "C" void launch(const Arguments* arguments, unsigned blocks, unsigned threads, int seed,
                       int left_out) {
  given = arguments;
  emulator::body = [] { KERNEL(*given); };
  emulator::grid.x = blocks;
  emulator::dim.x = threads;
  emulator::left_out = left_out;
  for (unsigned block = 0; block < blocks; ++block) {
    emulator::block.x = block;
    emulator::run_block(threads, seed);
  }
}
extern "C" int barriers() { return __COUNTER__; }
extern "C" unsigned long size_of_arguments() { return sizeof(Arguments); }
