// A warp multiplies small matrices on the tensor cores:
//
//     sums (16, 16) += left (16, k) @ right (k, 16)
//
// These are PTX's wmma instructions, written out so that no header of the CUDA toolkit is needed:
// CuPy compiles these files where there is none. All 32 lanes call together. Which lane holds which
// element of a fragment is the hardware's secret: they are loaded from shared memory, `step`
// elements from one row to the next, and the sums are stored back there. Rows must begin at
// multiples of 16 bytes and fragments of 32. (PTX ISA, "Warp-level matrix instructions: wmma")
//
//     Tf32Cores  float with 10 of its 23 fraction bits multiplied, k = 8;  compute capability 8.0
//     HalfCores  16-bit floats, k = 16;                                    compute capability 7.0
//
// The sums are float in both. `Staged` is the type that left and right have in shared memory.

#pragma once
#include "common.cuh"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
#define HAS_TF32_CORES 1

struct Tf32Cores {
    using Staged = float;
    static constexpr int k = 8;
    struct Left { unsigned r[4]; };
    struct Right { unsigned r[4]; };
    struct Sums { float r[8]; };

    static __device__ float staged(float value) {  // rounded to the nearest of 10 fraction bits
        unsigned bits;
        asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
        return __uint_as_float(bits);
    }
    static __device__ void load(Left& f, const float* tile, int step) {
        asm volatile("wmma.load.a.sync.aligned.row.m16n16k8.tf32 {%0, %1, %2, %3}, [%4], %5;"
                     : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
                     : "l"(tile), "r"(step) : "memory");
    }
    static __device__ void load(Right& f, const float* tile, int step) {
        asm volatile("wmma.load.b.sync.aligned.row.m16n16k8.tf32 {%0, %1, %2, %3}, [%4], %5;"
                     : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3])
                     : "l"(tile), "r"(step) : "memory");
    }
    static __device__ void multiply(Sums& s, const Left& a, const Right& b) {
        asm volatile("wmma.mma.sync.aligned.row.row.m16n16k8.f32.tf32.tf32.f32 "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, {%12, %13, %14, %15}, "
                     "{%0, %1, %2, %3, %4, %5, %6, %7};"
                     : "+f"(s.r[0]), "+f"(s.r[1]), "+f"(s.r[2]), "+f"(s.r[3]), "+f"(s.r[4]),
                       "+f"(s.r[5]), "+f"(s.r[6]), "+f"(s.r[7])
                     : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(b.r[0]),
                       "r"(b.r[1]), "r"(b.r[2]), "r"(b.r[3]));
    }
    static __device__ void store(float* tile, const Sums& s, int step) {
        asm volatile("wmma.store.d.sync.aligned.row.m16n16k8.f32 [%8], "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, %9;" ::"f"(s.r[0]), "f"(s.r[1]),
                     "f"(s.r[2]), "f"(s.r[3]), "f"(s.r[4]), "f"(s.r[5]), "f"(s.r[6]), "f"(s.r[7]),
                     "l"(tile), "r"(step) : "memory");
    }
};
#endif

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 700
#define HAS_HALF_CORES 1

struct HalfCores {
    using Staged = Half;
    static constexpr int k = 16;
    struct Left { unsigned r[8]; };
    struct Right { unsigned r[8]; };
    struct Sums { float r[8]; };

    static __device__ Half staged(float value) { return Half(value); }
    static __device__ void load(Left& f, const Half* tile, int step) {
        asm volatile("wmma.load.a.sync.aligned.row.m16n16k16.f16 "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"
                     : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3]), "=r"(f.r[4]),
                       "=r"(f.r[5]), "=r"(f.r[6]), "=r"(f.r[7])
                     : "l"(tile), "r"(step) : "memory");
    }
    static __device__ void load(Right& f, const Half* tile, int step) {
        asm volatile("wmma.load.b.sync.aligned.row.m16n16k16.f16 "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, [%8], %9;"
                     : "=r"(f.r[0]), "=r"(f.r[1]), "=r"(f.r[2]), "=r"(f.r[3]), "=r"(f.r[4]),
                       "=r"(f.r[5]), "=r"(f.r[6]), "=r"(f.r[7])
                     : "l"(tile), "r"(step) : "memory");
    }
    static __device__ void multiply(Sums& s, const Left& a, const Right& b) {
        asm volatile("wmma.mma.sync.aligned.row.row.m16n16k16.f32.f32 "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, "
                     "{%8, %9, %10, %11, %12, %13, %14, %15}, "
                     "{%16, %17, %18, %19, %20, %21, %22, %23}, "
                     "{%0, %1, %2, %3, %4, %5, %6, %7};"
                     : "+f"(s.r[0]), "+f"(s.r[1]), "+f"(s.r[2]), "+f"(s.r[3]), "+f"(s.r[4]),
                       "+f"(s.r[5]), "+f"(s.r[6]), "+f"(s.r[7])
                     : "r"(a.r[0]), "r"(a.r[1]), "r"(a.r[2]), "r"(a.r[3]), "r"(a.r[4]),
                       "r"(a.r[5]), "r"(a.r[6]), "r"(a.r[7]), "r"(b.r[0]), "r"(b.r[1]),
                       "r"(b.r[2]), "r"(b.r[3]), "r"(b.r[4]), "r"(b.r[5]), "r"(b.r[6]),
                       "r"(b.r[7]));
    }
    static __device__ void store(float* tile, const Sums& s, int step) {
        asm volatile("wmma.store.d.sync.aligned.row.m16n16k16.f32 [%8], "
                     "{%0, %1, %2, %3, %4, %5, %6, %7}, %9;" ::"f"(s.r[0]), "f"(s.r[1]),
                     "f"(s.r[2]), "f"(s.r[3]), "f"(s.r[4]), "f"(s.r[5]), "f"(s.r[6]), "f"(s.r[7]),
                     "l"(tile), "r"(step) : "memory");
    }
};
#endif
