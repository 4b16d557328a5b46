// Matrix products of our own, for steps that are recorded as a CUDA graph: CuPy lets no call of
// cuBLAS be recorded (reference: numpy.matmul).
//
//     y[z, m, n] = Σ_k a[z, m, k] · b[z, k, n]
//
// A matrix lies in memory in any order: its element (row, column) of batch z = (u, v), v < inner, is
// at u·outer + v·inner + row·row + column·column of its Strides, so that transposed matrices and
// broadcast batches (stride 0) are read where they are. A block computes 64×64 of y (tile.cuh).
//
// The sum over k is cut into parts of `per_part`, so that a long one with a small result gives work
// to many blocks: each part then writes its own sums into `parts` (number of parts, batches, M, N),
// and sum_parts of implicit_gemm.cu adds them, always in the same order. Without `parts`, y is
// written at once. The grid: x over tiles of n, y over tiles of m, z over batches × parts.
//
// T is how numbers are stored; sums are float for 16-bit floats. `Arithmetic` is Plain, or Cores for
// the tensor cores, as in implicit_gemm.cu.

#include "common.cuh"
#include "tile.cuh"

struct Plain;
struct Cores;

template <class T, class Arithmetic> struct ProductOf { using type = PlainProduct<Sum<T>>; };
#ifdef HAS_TF32_CORES
template <> struct ProductOf<float, Cores> { using type = CoreProduct<Tf32Cores>; };
#endif
#ifdef HAS_HALF_CORES
template <> struct ProductOf<Half, Cores> { using type = CoreProduct<HalfCores>; };
#endif
template <class T, class Arithmetic> using Product = typename ProductOf<T, Arithmetic>::type;

struct Strides {
    int outer, inner, row, column;

    __device__ long long batch(int u, int v) const {
        return (long long)u * outer + (long long)v * inner;
    }
    __device__ int at(int r, int c) const { return r * row + c * column; }
};

struct Sizes { int m, n, k, batches, inner, per_part; };

template <class T, class Arithmetic, bool right_along_k>
__device__ void multiply(const T* a, const T* b, T* y, Sum<T>* parts, Strides of_a, Strides of_b,
                         Strides of_y, Sizes s) {
    int count = s.batches * ((s.k + s.per_part - 1) / s.per_part);
    if (s.k == 0) count = s.batches;
    for (int z = blockIdx.z; z < count; z += gridDim.z) {
        int batch = z % s.batches, part = z / s.batches, u = batch / s.inner, v = batch % s.inner;
        int begin = part * s.per_part, end = min(begin + s.per_part, s.k);
        const T* left = a + of_a.batch(u, v);
        const T* right = b + of_b.batch(u, v);
        T* result = y + of_y.batch(u, v);
        multiply_tile<Product<T, Arithmetic>, right_along_k>(
            blockIdx.y * TILE, s.m, blockIdx.x * TILE, s.n, begin, end,
            [&](int m, int k) -> Sum<T> { return left[of_a.at(m, k)]; },
            [&](int k, int n) -> Sum<T> { return right[of_b.at(k, n)]; },
            [&](int m, int n, Sum<T> sum) {
                if (parts) parts[((long long)z * s.m + m) * s.n + n] = sum;
                else result[of_y.at(m, n)] = T(sum);
            });
        __syncthreads();  // before the next product's tiles
    }
}

// b's rows are stretches of memory.
template <class T, class Arithmetic>
__global__ void __launch_bounds__(THREADS)
product(const T* a, const T* b, T* y, Sum<T>* parts, Strides of_a, Strides of_b, Strides of_y,
        Sizes s) {
    multiply<T, Arithmetic, false>(a, b, y, parts, of_a, of_b, of_y, s);
}

// b's columns are.
template <class T, class Arithmetic>
__global__ void __launch_bounds__(THREADS)
product_turned(const T* a, const T* b, T* y, Sum<T>* parts, Strides of_a, Strides of_b,
               Strides of_y, Sizes s) {
    multiply<T, Arithmetic, true>(a, b, y, parts, of_a, of_b, of_y, s);
}
