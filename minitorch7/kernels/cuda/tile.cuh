// A block's product of two matrices that need not lie anywhere:
//
//     for m0 ≤ m < m0 + 64, n0 ≤ n < n0 + 64:
//         store(m, n, Σ left(m, k)·right(k, n) over k from k_begin to k_end)
//
// `left`, `right` are functions that find or make an element; `store` takes a sum. 16 values of k
// at a time, both are staged in shared memory, where each element is read 64 times. Elements beyond
// m_end, n_end and k_end count as 0 and are not stored. Blocks have THREADS threads along x.
//
// How the staged tiles are multiplied is the template's `Product`:
//
//     PlainProduct<S>      each thread does 8×4 of the 64×64 sums by itself, in S
//     CoreProduct<Cores>   each of the four warps does 32×32 on the tensor cores: tensor_cores.cuh

#pragma once
#include "common.cuh"
#include "tensor_cores.cuh"

constexpr int THREADS = 128, TILE = 64, DEPTH = 16;

template <class S> struct PlainProduct {
    using Staged = S;
    using Result = S;
    static constexpr int left_step = DEPTH + 1, right_step = TILE;
    S sums[8][4] = {};

    static __device__ S staged(S value) { return value; }

    // This thread's sums stand in rows 8a … 8a + 7 and columns b, b + 16, b + 32, b + 48.
    __device__ void add(const S* left, const S* right) {
        int a = threadIdx.x / 16, b = threadIdx.x % 16;
        for (int k = 0; k < DEPTH; k++) {
            S from_left[8], from_right[4];
            for (int i = 0; i < 8; i++) from_left[i] = left[(8 * a + i) * left_step + k];
            for (int j = 0; j < 4; j++) from_right[j] = right[k * right_step + b + 16 * j];
            for (int i = 0; i < 8; i++)
                for (int j = 0; j < 4; j++) sums[i][j] += from_left[i] * from_right[j];
        }
    }

    template <class Store> __device__ void finish(Store store) {
        int a = threadIdx.x / 16, b = threadIdx.x % 16;
        for (int i = 0; i < 8; i++)
            for (int j = 0; j < 4; j++) store(8 * a + i, b + 16 * j, sums[i][j]);
    }
};

template <class Cores> struct CoreProduct {
    using Staged = typename Cores::Staged;
    using Result = float;
    static constexpr int left_step = DEPTH + 16 / sizeof(Staged);  // rows of whole 16 bytes, not
    static constexpr int right_step = TILE + 16 / sizeof(Staged);  // all in the same banks
    typename Cores::Sums sums[2][2] = {};

    static __device__ Staged staged(float value) { return Cores::staged(value); }

    __device__ void add(const Staged* left, const Staged* right) {
        int row = threadIdx.x / 64 * 32, column = threadIdx.x / 32 % 2 * 32;  // of this warp
        for (int k = 0; k < DEPTH; k += Cores::k) {
            typename Cores::Left a[2];
            typename Cores::Right b[2];
            for (int i = 0; i < 2; i++) {
                Cores::load(a[i], left + (row + 16 * i) * left_step + k, left_step);
                Cores::load(b[i], right + k * right_step + column + 16 * i, right_step);
            }
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 2; j++) Cores::multiply(sums[i][j], a[i], b[j]);
        }
    }

    template <class Store> __device__ void finish(Store store) {
        __shared__ __align__(32) float tile[TILE * TILE];
        int row = threadIdx.x / 64 * 32, column = threadIdx.x / 32 % 2 * 32;
        for (int i = 0; i < 2; i++)
            for (int j = 0; j < 2; j++)
                Cores::store(tile + (row + 16 * i) * TILE + column + 16 * j, sums[i][j], TILE);
        __syncthreads();
        for (int e = threadIdx.x; e < TILE * TILE; e += THREADS) store(e / TILE, e % TILE, tile[e]);
    }
};

// right_along_k: neighbouring k, not neighbouring n, are neighbours in the memory right reads from.
template <class Product, bool right_along_k, class Left, class Right, class Store>
__device__ void multiply_tile(int m0, int m_end, int n0, int n_end, int k_begin, int k_end,
                              Left left, Right right, Store store) {
    using Staged = typename Product::Staged;
    __shared__ __align__(32) Staged lefts[TILE * Product::left_step];
    __shared__ __align__(32) Staged rights[DEPTH * Product::right_step];
    Product product;
    for (int k0 = k_begin; k0 < k_end; k0 += DEPTH) {
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
            int m = e / DEPTH, k = e % DEPTH;
            bool exists = m0 + m < m_end && k0 + k < k_end;
            lefts[m * Product::left_step + k] = Product::staged(exists ? left(m0 + m, k0 + k) : 0);
        }
        for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
            int n = right_along_k ? e / DEPTH : e % TILE, k = right_along_k ? e % DEPTH : e / TILE;
            bool exists = n0 + n < n_end && k0 + k < k_end;
            rights[k * Product::right_step + n] =
                Product::staged(exists ? right(k0 + k, n0 + n) : 0);
        }
        __syncthreads();
        product.add(lefts, rights);
        __syncthreads();  // before the tiles are overwritten
    }
    product.finish([&](int m, int n, typename Product::Result sum) {
        if (m0 + m < m_end && n0 + n < n_end) store(m0 + m, n0 + n, sum);
    });
}
