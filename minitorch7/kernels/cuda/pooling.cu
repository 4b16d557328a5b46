// Pooling and its gradients (reference: kernels/pooling.py).
//
//     max_pool    y[c, i, j, n] = max over the window's taps that lie inside; taps[…] = u·kw + v
//                 of that tap. The first of equals wins, and the last NaN wins over all.
//     unpool_max  dx[c, r, q, n] = Σ dy over the windows whose maximum stands there
//     pick_max    y[c, i, j, n] = x read at the window's tap: unpool_max's adjoint
//     sum_pool    y[c, i, j, n] = Σ over the window's taps that lie inside
//     spread_sum  dx[c, r, q, n] = Σ dy over the windows that see it: sum_pool's adjoint
//
// x, dx (C, H, W, N); y, dy, taps (C, rows, columns, N). The grid's y axis goes over channels, its
// threads along x over (i, j, n) or, where dx is written, (r, q, n): each writes one element, and
// reads what that element needs. An average is a sum times a share: functional/pooling.py.

#include "common.cuh"
#include "window.cuh"

// Run work(c, i, j, n, e) for this thread's elements e of an array (C, rows, columns, N).
template <class Work>
__device__ void for_places(const Geometry& g, int rows, int columns, Work work) {
    Divider by_batch(g.batch), by_columns(columns);
    for (unsigned c : along_y(g.channels))
        for (unsigned e : along_x(rows * columns * g.batch)) {
            unsigned n = e, j = by_batch.split(n), i = by_columns.split(j);
            work((long long)c, int(i), int(j), int(n), int(e));
        }
}

// Run work(tap, element of the channel's picture) for the window's taps that lie inside.
template <class Work>
__device__ void for_taps(const Geometry& g, int i, int j, int n, Work work) {
    for (int u = 0; u < g.kh; u++) {
        int r = i * g.sh + u * g.dh - g.ph;
        if (!inside(r, g.height)) continue;
        for (int v = 0; v < g.kw; v++) {
            int q = j * g.sw + v * g.dw - g.pw;
            if (inside(q, g.width)) work(u * g.kw + v, (r * g.width + q) * g.batch + n);
        }
    }
}

// Run work(tap, element of the channel's places) for the windows that see picture element (r, q).
template <class Work>
__device__ void for_windows(const Geometry& g, int r, int q, int n, Work work) {
    for (int u = 0; u < g.kh; u++) {
        int i = place_of(r, u, g.sh, g.ph, g.dh, g.rows);
        if (i < 0) continue;
        for (int v = 0; v < g.kw; v++) {
            int j = place_of(q, v, g.sw, g.pw, g.dw, g.columns);
            if (j >= 0) work(u * g.kw + v, (i * g.columns + j) * g.batch + n);
        }
    }
}

template <class T, class Tap>
__global__ void max_pool(const T* x, T* y, Tap* taps, Geometry g) {
    for_places(g, g.rows, g.columns, [=](long long c, int i, int j, int n, int e) {
        const T* picture = x + c * g.pixels();
        Sum<T> best = -infinity();
        int won = -1;
        for_taps(g, i, j, n, [&](int tap, int at) {
            Sum<T> value = picture[at];
            if (won < 0) won = tap;
            if (value > best || value != value) best = value, won = tap;
        });
        y[c * g.places() + e] = T(best);
        taps[c * g.places() + e] = Tap(won < 0 ? 0 : won);
    });
}

template <class T, class Tap>
__global__ void unpool_max(const T* dy, const Tap* taps, T* dx, Geometry g) {
    for_places(g, g.height, g.width, [=](long long c, int r, int q, int n, int e) {
        Sum<T> total = 0;
        for_windows(g, r, q, n, [&](int tap, int place) {
            if (taps[c * g.places() + place] == tap) total += dy[c * g.places() + place];
        });
        dx[c * g.pixels() + e] = T(total);
    });
}

template <class T, class Tap>
__global__ void pick_max(const T* x, const Tap* taps, T* y, Geometry g) {
    for_places(g, g.rows, g.columns, [=](long long c, int i, int j, int n, int e) {
        int tap = taps[c * g.places() + e];
        int r = i * g.sh + tap / g.kw * g.dh - g.ph, q = j * g.sw + tap % g.kw * g.dw - g.pw;
        bool seen = inside(r, g.height) && inside(q, g.width);
        long long at = c * g.pixels() + (r * g.width + q) * g.batch + n;
        y[c * g.places() + e] = seen ? x[at] : T(0);
    });
}

template <class T> __global__ void sum_pool(const T* x, T* y, Geometry g) {
    for_places(g, g.rows, g.columns, [=](long long c, int i, int j, int n, int e) {
        const T* picture = x + c * g.pixels();
        Sum<T> total = 0;
        for_taps(g, i, j, n, [&](int, int at) { total += picture[at]; });
        y[c * g.places() + e] = T(total);
    });
}

template <class T> __global__ void spread_sum(const T* dy, T* dx, Geometry g) {
    for_places(g, g.height, g.width, [=](long long c, int r, int q, int n, int e) {
        const T* places = dy + c * g.places();
        Sum<T> total = 0;
        for_windows(g, r, q, n, [&](int, int place) { total += places[place]; });
        dx[c * g.pixels() + e] = T(total);
    });
}
