// What the kernels need of CUDA, for a host's C++ compiler: one thread after the other, no barriers, no shuffles.
#include <cmath>

#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)

struct Dimensions {
    unsigned x, y, z;
};

static thread_local Dimensions blockIdx, threadIdx, gridDim, blockDim;

// A kernel as the driver has it: found by its name expression, launched over a grid with pointers to its arguments.
struct Kernel {
    const char* name;
    void (*run)(void** arguments);
};

template <class Argument, void (*kernel)(Argument)>
void call(void** arguments) {
    kernel(*static_cast<Argument*>(arguments[0]));
}
