// The tensor cores' part of the harness: the structs of tensor_cores.cuh, for the processor.
//
// A fragment remembers where in shared memory it lies, and each lane of a warp computes half a row
// of the sums, which is as good a secret as the hardware's own. Multiplied are the numbers that the
// hardware would multiply: rounded to 10 fraction bits for TF32, 16-bit floats for the other.

#pragma once
#define HAS_TF32_CORES 1
#define HAS_HALF_CORES 1

#include <cstdint>

namespace on_cpu {
inline void aligned(const void* p, int bytes) {
    if (reinterpret_cast<std::uintptr_t>(p) % bytes) error = "a fragment is not aligned";
}

template <class T, int depth> struct Cores {
    using Staged = T;
    static constexpr int k = depth;
    struct Left { const T* tile; int step; };
    struct Right { const T* tile; int step; };
    struct Sums { float r[8]; };

    template <class Fragment> static void load(Fragment& f, const T* tile, int step) {
        aligned(tile, 32);
        aligned(tile + step, 16);
        f = {tile, step};
    }
    static void multiply(Sums& s, const Left& a, const Right& b) {
        int lane = threadIdx.x % 32, row = lane / 2, column = lane % 2 * 8;
        for (int j = 0; j < 8; j++)
            for (int i = 0; i < depth; i++)
                s.r[j] += float(a.tile[row * a.step + i]) * float(b.tile[i * b.step + column + j]);
    }
    static void store(float* tile, const Sums& s, int step) {
        aligned(tile, 32);
        int lane = threadIdx.x % 32, row = lane / 2, column = lane % 2 * 8;
        for (int j = 0; j < 8; j++) tile[row * step + column + j] = s.r[j];
    }
};
}  // namespace on_cpu

struct Tf32Cores : on_cpu::Cores<float, 8> {
    static float staged(float value) {  // to the nearest, ties away from zero
        std::uint32_t bits;
        std::memcpy(&bits, &value, 4);
        bits = (bits + 0x1000) & ~0x1fffu;
        std::memcpy(&value, &bits, 4);
        return value;
    }
};

struct HalfCores : on_cpu::Cores<Half, 16> {
    static Half staged(float value) { return Half(value); }
};
