// What a .cu file needs to be compiled as C++17 for the processor, and to run there as on a GPU.
//
// Blocks run one after the other. Each thread of a block is a fiber with a stack of its own: it
// runs until it reaches a barrier or ends, then the next one does. At every turn the threads go in
// another order, so that a kernel that lacks a barrier gives wrong numbers here as well. A block
// whose threads wait at different barriers, or whose barrier not all of them reach, is an error.

#pragma once
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static  // one block runs at a time, and its threads share the process
#define __align__(n) __attribute__((aligned(n)))

using std::exp, std::log, std::sqrt, std::tanh, std::sin, std::cos, std::min, std::max;
template <class V> V sinpi(V x) { return V(std::sin(M_PI * double(x))); }
template <class V> V cospi(V x) { return V(std::cos(M_PI * double(x))); }
inline long long min(long long a, long long b) { return a < b ? a : b; }

struct Index { unsigned x = 0, y = 0, z = 0; };
static Index threadIdx, blockIdx, blockDim, gridDim;

namespace on_cpu {

enum class State { ready, at_block, at_warp, done };

struct Thread {
    ucontext_t context;
    State state = State::done;
    Index index;
    std::vector<char> stack = std::vector<char>(96 * 1024);
};

static std::vector<Thread> threads;
static ucontext_t scheduler;
static unsigned running, turn;
static void (*body)(void*);
static void* body_arguments;
static std::string error;

inline void wait(State state) {
    Thread& self = threads[running];
    self.state = state;
    Index index = threadIdx;
    swapcontext(&self.context, &scheduler);
    threadIdx = index;
}

inline void begin() {
    body(body_arguments);
    threads[running].state = State::done;
}

// Let the threads from `first` on, `count` of them, go on if all of them wait at `state`.
inline bool release(unsigned first, unsigned count, State state) {
    for (unsigned i = first; i < first + count; i++)
        if (threads[i].state != state) return false;
    for (unsigned i = first; i < first + count; i++) threads[i].state = State::ready;
    return true;
}

inline bool run_block(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        Thread& t = threads[i];
        t.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
        t.state = State::ready;
        getcontext(&t.context);
        t.context.uc_stack.ss_sp = t.stack.data();
        t.context.uc_stack.ss_size = t.stack.size();
        t.context.uc_link = &scheduler;
        makecontext(&t.context, begin, 0);
    }
    for (;;) {
        unsigned done = 0, step = turn++ % 2 ? 1 : count - 1, start = turn * 7 % count;
        for (unsigned i = 0, at = start; i < count; i++, at = (at + step) % count) {
            Thread& t = threads[at];
            if (t.state == State::ready) {
                running = at;
                threadIdx = t.index;
                swapcontext(&scheduler, &t.context);
            }
            done += t.state == State::done;
        }
        if (done == count) return true;
        bool moved = release(0, count, State::at_block);
        for (unsigned warp = 0; warp < count; warp += 32)
            moved |= release(warp, std::min(32u, count - warp), State::at_warp);
        if (!moved) {
            error = "threads of one block wait at different barriers, or some have ended";
            return false;
        }
    }
}

inline bool run(const unsigned* grid, const unsigned* block, void (*f)(void*), void* arguments) {
    gridDim = {grid[0], grid[1], grid[2]};
    blockDim = {block[0], block[1], block[2]};
    body = f;
    body_arguments = arguments;
    error.clear();
    unsigned count = block[0] * block[1] * block[2];
    if (threads.size() < count) threads.resize(count);
    for (blockIdx.z = 0; blockIdx.z < grid[2]; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
                if (!run_block(count)) return false;
    return error.empty();
}

// ------------------------------------------------------------------- the table of kernels

struct Kernel {
    const char* name;
    int parameters;
    const int* sizes;  // bytes of each parameter
    bool (*launch)(const unsigned* grid, const unsigned* block, void** arguments);
};

template <auto kernel> struct Entry;
template <class... P, void (*kernel)(P...)> struct Entry<kernel> {
    static constexpr int sizes[] = {int(sizeof(P))...};

    template <std::size_t... i> static void call(void** a, std::index_sequence<i...>) {
        kernel(*static_cast<P*>(a[i])...);
    }
    static void body(void* arguments) {
        call(static_cast<void**>(arguments), std::index_sequence_for<P...>());
    }
    static bool launch(const unsigned* grid, const unsigned* block, void** arguments) {
        return run(grid, block, body, arguments);
    }
    static constexpr Kernel describe(const char* name) {
        return {name, int(sizeof...(P)), sizes, launch};
    }
};

}  // namespace on_cpu

// ------------------------------------------------------------------ barriers, warps, numbers

inline void __syncthreads() { on_cpu::wait(on_cpu::State::at_block); }
inline void __syncwarp(unsigned = ~0u) { on_cpu::wait(on_cpu::State::at_warp); }

namespace on_cpu {
template <class V> V exchange(V value, unsigned (*source)(unsigned lane, int by), int by) {
    static V lanes[1024];
    unsigned lane = running % 32, warp = running - lane;
    lanes[running] = value;
    __syncwarp();
    unsigned from = source(lane, by);
    V found = lanes[warp + (from < 32 ? from : lane)];
    __syncwarp();
    return found;
}
}  // namespace on_cpu

template <class V> V __shfl_down_sync(unsigned, V value, int by) {
    return on_cpu::exchange(value, [](unsigned lane, int d) { return lane + d; }, by);
}
template <class V> V __shfl_xor_sync(unsigned, V value, int by) {
    return on_cpu::exchange(value, [](unsigned lane, int d) { return lane ^ d; }, by);
}

inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
    return (unsigned __int128)a * b >> 64;
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return unsigned((unsigned long long)a * b >> 32);
}

// IEEE 754 half precision, rounded to the nearest, ties to even. `Number` is the kernels' Half.
inline float half_to_float(unsigned short h) {
    int exponent = h >> 10 & 31, fraction = h & 1023;
    float size = exponent == 0    ? std::ldexp(float(fraction), -24)
                 : exponent == 31 ? (fraction ? NAN : INFINITY)
                                  : std::ldexp(float(fraction + 1024), exponent - 25);
    return h >> 15 ? -size : size;
}

inline unsigned short float_to_half(float f) {
    unsigned short sign = std::signbit(f) ? 0x8000 : 0;
    float size = std::fabs(f);
    if (size != size) return sign | 0x7e00;
    if (size >= 65520.0f) return sign | 0x7c00;
    int exponent;
    std::frexp(size, &exponent);
    int unit = std::max(exponent, -13) - 11;  // the value of the last place is 2^unit
    int count = int(std::nearbyint(std::ldexp(size, -unit)));
    if (count == 2048) count = 1024, unit++;
    return sign | (count < 1024 ? count : ((unit + 25) << 10 | (count - 1024)));
}
