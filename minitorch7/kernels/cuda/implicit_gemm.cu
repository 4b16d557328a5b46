// Convolution and both its gradients as matrix products whose columns are never laid out
// (references: the seven loops in tests/reference/convolution.py, and kernels/convolution.py).
//
// A convolution is seven loops around one multiplication:
//
//     for n, o, i, j:                       each element of the result
//         for c, u, v:                      each tap of its window
//             y[o, i, j, n] += w[o, c, u, v] · x[c, i·s + u·d − p, j·s + v·d − p, n]
//
// Call the three inner ones together k = (c, u, v), and three of the outer ones q = (i, j, n):
//
//     y[o, q] = Σ_k w[o, k] · col[k, q]     col[k, q] = x at tap k of window q, 0 outside
//
// That is a product of matrices, and `w` and `y` lie in memory as (O, K) and (O, Q) already. `col`
// is what im2col would write, kh·kw times as large as x. But a product by tiles first stages each
// element of `col` in shared memory, to read it from there: it can as well be found in x at that
// moment, by parting k into c, u, v and q into i, j, n. No column is ever in the GPU's memory. The
// gradients are the same loops, with another of the three arrays as the result:
//
//     dx[c, r] = Σ_(o, u, v) w[o, c, u, v] · dy[o, (i, j, n)]   where i·s + u·d − p is r's row, …:
//                a product over k = (o, u, v); for r = (row, column, n) and taps u, v there is one
//                such place (i, j), or none
//     dw[o, k] = Σ_q dy[o, q] · col[k, q]: a product over q, long, for few results. It is cut into
//                parts, so that more blocks have work; each writes its own sums, and sum_parts adds
//                them, always in the same order
//
// x, dx (C, H, W, N); w, dw (O, C/groups, kh, kw); y, dy (O, rows, columns, N); no array has 2³¹
// elements. A block of 128 threads computes 64×64 of the result's (tile.cuh). The grid: x over tiles
// of q, r or k, y over tiles of o or c, z over groups, and for dw over groups × parts. T is how
// numbers are stored; sums are float for 16-bit floats. `Arithmetic` is Plain, or Cores for the
// tensor cores: TF32 for float from compute capability 8.0, 16-bit floats from 7.0, and Plain where
// there are none.

#include "common.cuh"
#include "tile.cuh"
#include "window.cuh"

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

// col[k, q] of one group's picture x.
template <class T> struct Columns {
    const T* x;
    Geometry g;
    Divider by_kw, by_kh, by_batch, by_columns;

    __device__ Columns(const T* x, const Geometry& g)
        : x(x), g(g), by_kw(g.kw), by_kh(g.kh), by_batch(g.batch), by_columns(g.columns) {}

    __device__ Sum<T> operator()(unsigned k, unsigned q) const {
        unsigned v = k, u = by_kw.split(v), c = by_kh.split(u);
        unsigned n = q, j = by_batch.split(n), i = by_columns.split(j);
        int row = int(i) * g.sh + int(u) * g.dh - g.ph;
        int column = int(j) * g.sw + int(v) * g.dw - g.pw;
        if (!inside(row, g.height) || !inside(column, g.width)) return 0;
        return x[((int(c) * g.height + row) * g.width + column) * g.batch + int(n)];
    }
};

// dy[o, (i, j, n)] of one group, for k = (o, u, v) and a picture element r = (row, column, n).
template <class T> struct Arriving {
    const T* dy;
    Geometry g;
    Divider by_kw, by_kh, by_batch, by_width;

    __device__ Arriving(const T* dy, const Geometry& g)
        : dy(dy), g(g), by_kw(g.kw), by_kh(g.kh), by_batch(g.batch), by_width(g.width) {}

    __device__ Sum<T> operator()(unsigned k, unsigned r) const {
        unsigned v = k, u = by_kw.split(v), o = by_kh.split(u);
        unsigned n = r, column = by_batch.split(n), row = by_width.split(column);
        int i = place_of(int(row), int(u), g.sh, g.ph, g.dh, g.rows);
        int j = place_of(int(column), int(v), g.sw, g.pw, g.dw, g.columns);
        if (i < 0 || j < 0) return 0;
        return dy[((int(o) * g.rows + i) * g.columns + j) * g.batch + int(n)];
    }
};

// In all three, g.channels is that of one group, and so are `outputs`.

template <class T, class Arithmetic>
__global__ void __launch_bounds__(THREADS)
conv2d(const T* x, const T* w, const T* bias, T* y, Geometry g, int outputs) {
    int depth = g.channels * g.kh * g.kw, places = g.places(), group = blockIdx.z;
    Columns<T> col(x + (long long)group * g.channels * g.pixels(), g);
    w += (long long)group * outputs * depth;
    y += (long long)group * outputs * places;
    multiply_tile<Product<T, Arithmetic>, false>(
        blockIdx.y * TILE, outputs, blockIdx.x * TILE, places, 0, depth,
        [&](int o, int k) -> Sum<T> { return w[o * depth + k]; }, col,
        [&](int o, int q, Sum<T> sum) {
            if (bias) sum += Sum<T>(bias[group * outputs + o]);
            y[(long long)o * places + q] = T(sum);
        });
}

template <class T, class Arithmetic>
__global__ void __launch_bounds__(THREADS)
conv2d_input_grad(const T* dy, const T* w, T* dx, Geometry g, int outputs) {
    int taps = g.kh * g.kw, pixels = g.pixels(), channels = g.channels, group = blockIdx.z;
    Arriving<T> arriving(dy + (long long)group * outputs * g.places(), g);
    w += (long long)group * outputs * channels * taps;
    dx += (long long)group * channels * pixels;
    Divider by_taps(taps);
    multiply_tile<Product<T, Arithmetic>, false>(
        blockIdx.y * TILE, channels, blockIdx.x * TILE, pixels, 0, outputs * taps,
        [&](int c, int k) -> Sum<T> {
            unsigned tap = k, o = by_taps.split(tap);
            return w[(int(o) * channels + c) * taps + int(tap)];
        },
        arriving, [&](int c, int r, Sum<T> sum) { dx[(long long)c * pixels + r] = T(sum); });
}

// parts (number of parts, O, K), a sum over `per_part` places each, a multiple of DEPTH
template <class T, class Arithmetic>
__global__ void __launch_bounds__(THREADS)
conv2d_weight_grad(const T* x, const T* dy, Sum<T>* parts, Geometry g, int outputs, int groups,
                   int per_part) {
    int depth = g.channels * g.kh * g.kw, places = g.places();
    int group = blockIdx.z % groups, part = blockIdx.z / groups;
    Columns<T> col(x + (long long)group * g.channels * g.pixels(), g);
    dy += (long long)group * outputs * places;
    parts += ((long long)part * groups + group) * outputs * depth;
    int begin = part * per_part, end = min(begin + per_part, places);
    multiply_tile<Product<T, Arithmetic>, true>(
        blockIdx.y * TILE, outputs, blockIdx.x * TILE, depth, begin, end,
        [&](int o, int q) -> Sum<T> { return dy[(long long)o * places + q]; },
        [&](int q, int k) { return col(k, q); },
        [&](int o, int k, Sum<T> sum) { parts[o * depth + k] = sum; });
}

// total[e] = Σ parts[i, e], e < size
template <class T> __global__ void sum_parts(const Sum<T>* parts, T* total, int count, int size) {
    for (unsigned e : along_x(size)) {
        Sum<T> sum = 0;
        for (int i = 0; i < count; i++) sum += parts[(long long)i * size + e];
        total[e] = T(sum);
    }
}
