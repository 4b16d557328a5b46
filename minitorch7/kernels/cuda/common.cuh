// What all kernels share: 16-bit floats, the threads' shares of the work, division, block sums.
//
// Memory is batch-last, as everywhere in kernels/ (see windows.py): pictures are (C, H, W, N), and
// neighbouring threads work on neighbouring elements of (row, column, n), so that a warp reads and
// writes whole stretches of memory.

#pragma once

// ------------------------------------------------------------------------------------- numbers

// A 16-bit float that is stored as such and computed with as float.
struct Half {
    unsigned short bits;

    Half() = default;
#ifdef __CUDA_ARCH__
    __device__ explicit Half(float value) {
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    }
    __device__ operator float() const {
        float value;
        asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
        return value;
    }
#else
    explicit Half(float value);  // the tests' harness says how
    operator float() const;
#endif
};

// What elements of type T are added up in.
template <class T> struct SumOf { using type = T; };
template <> struct SumOf<Half> { using type = float; };
template <class T> using Sum = typename SumOf<T>::type;

__device__ inline float infinity() { return __int_as_float(0x7f800000); }
__device__ inline float not_a_number() { return __int_as_float(0x7fffffff); }

// -------------------------------------------------------------------- which elements a thread does

// The numbers first, first + step, … below n, for a range-based for loop: a grid-stride loop.
struct Share {
    unsigned first, step, n;

    struct Iterator {
        unsigned at, step, n;
        __device__ unsigned operator*() const { return at; }
        __device__ void operator++() { at += step; }
        __device__ bool operator!=(Iterator) const { return at < n; }
    };
    __device__ Iterator begin() const { return {first, step, n}; }
    __device__ Iterator end() const { return {n, step, n}; }
};

// This thread's share of 0 … n−1 along the grid's x axis (n < 2³¹), and along its y axis.
__device__ inline Share along_x(unsigned n) {
    return {blockIdx.x * blockDim.x + threadIdx.x, gridDim.x * blockDim.x, n};
}

__device__ inline Share along_y(unsigned n) {
    return {blockIdx.y * blockDim.y + threadIdx.y, gridDim.y * blockDim.y, n};
}

// Division by a number that is known only when the kernel starts, without the 20 instructions of
// the general one: n / d = (n·m / 2³² + n) / 2ˢ with s = ⌈log₂ d⌉, m = ⌊2³²·(2ˢ − d)/d⌋ + 1, for
// 0 ≤ n < 2³¹ and d ≥ 1. (Granlund & Montgomery 1994, §4)
struct Divider {
    unsigned divisor, multiplier, shift;

    __device__ explicit Divider(unsigned d) : divisor(d), shift(0) {
        while ((1ull << shift) < d) shift++;
        multiplier = unsigned((((1ull << shift) - d) << 32) / d + 1);
    }
    __device__ unsigned over(unsigned n) const {
        return (__umulhi(n, multiplier) + n) >> shift;
    }
    // n / d, and the rest in n
    __device__ unsigned split(unsigned& n) const {
        unsigned quotient = over(n);
        n -= quotient * divisor;
        return quotient;
    }
};

// ------------------------------------------------------------------------- sums over a block

// Two numbers, each added up.
template <class S> struct Two {
    S a, b;

    __device__ void merge(Two o) {
        a += o.a;
        b += o.b;
    }
    __device__ Two from_lane(int distance) const {
        return {__shfl_down_sync(~0u, a, distance), __shfl_down_sync(~0u, b, distance)};
    }
};

// All threads' values merged, in an order that never changes, and given to all of them.
// The block has a multiple of 32 threads, at most 1024, along x.
template <class V> __device__ V over_block(V value) {
    __shared__ V warps[32];
    for (int distance = 16; distance > 0; distance /= 2) value.merge(value.from_lane(distance));
    __syncthreads();  // the last sum has been read
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    V total = warps[0];
    for (unsigned w = 1; w < blockDim.x / 32; w++) total.merge(warps[w]);
    return total;
}
