// What the kernels need of a GPU beside CUDA C++ itself; no header, so that NVRTC takes it as it is.
// The tests have a file of the same names for a CPU.
#define BLOCK_BARRIER __syncthreads()
#define TEAM_BARRIER team_barrier()

extern __shared__ __align__(32) unsigned char shared_bytes[];
__device__ inline unsigned char* shared_memory() { return shared_bytes; }

// copies from global to shared memory that nobody waits for until wait_but_one() or wait_all()
__device__ inline void copy_async(float* to, const float* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(to)),
               "l"(from)
               : "memory");
}
__device__ inline void copy_four_async(float* to, const float* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(
                   (unsigned)__cvta_generic_to_shared(to)),
               "l"(from)
               : "memory");
}
__device__ inline void copy_async(double* to, const double* from) { *to = *from; }
__device__ inline void copy_four_async(double* to, const double* from) {
  for (int k = 0; k < 4; ++k) to[k] = from[k];
}
__device__ inline void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
__device__ inline void wait_but_one() { asm volatile("cp.async.wait_group 1;" ::: "memory"); }
__device__ inline void wait_all() { asm volatile("cp.async.wait_all;" ::: "memory"); }

template <class T>
__device__ inline T shuffle_xor(T value, int bit) {
  return __shfl_xor_sync(0xffffffffu, value, bit);
}
