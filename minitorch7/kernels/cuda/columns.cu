// im2col and its adjoint col2im (reference: kernels/windows.py).
//
//     col[c, u, v, i, j, n] = x[c, i·s + u·d − p, j·s + v·d − p, n], 0 outside the picture
//     onto[c, r, q, n]     += Σ col[c, u, v, i, j, n] over all (u, v, i, j) that read (r, q)
//
// x, onto (C, H, W, N); col (C, kh, kw, rows, columns, N) holds output rows `first` and following.
// im2col: the grid's y axis goes over (c, u, v), its threads along x over (i, j, n).
// col2im: y over channels, x over (r, q, n). Each thread gathers what its element receives, so that
// no two add to one place: nothing atomic, and the sum's order is always the same.

#include "common.cuh"
#include "window.cuh"

template <class T> __global__ void im2col(const T* x, T* col, Geometry g, int first) {
    Divider by_batch(g.batch), by_columns(g.columns), by_kw(g.kw), by_kh(g.kh);
    for (unsigned tap : along_y(g.channels * g.kh * g.kw)) {
        unsigned u = tap, v = tap;
        u = by_kw.split(v);        // v = tap mod kw
        unsigned c = by_kh.split(u);
        const T* picture = x + (long long)c * g.pixels();
        T* out = col + (long long)tap * g.places();
        for (unsigned e : along_x(g.places())) {
            unsigned n = e, j = by_batch.split(n), i = by_columns.split(j);
            int r = (int(i) + first) * g.sh + int(u) * g.dh - g.ph;
            int q = int(j) * g.sw + int(v) * g.dw - g.pw;
            bool seen = inside(r, g.height) && inside(q, g.width);
            out[e] = seen ? picture[(r * g.width + q) * g.batch + int(n)] : T(0);
        }
    }
}

template <class T> __global__ void col2im(const T* col, T* onto, Geometry g, int first) {
    Divider by_batch(g.batch), by_width(g.width);
    for (unsigned c : along_y(g.channels)) {
        const T* columns = col + (long long)c * g.kh * g.kw * g.places();
        T* picture = onto + (long long)c * g.pixels();
        for (unsigned e : along_x(g.pixels())) {
            unsigned n = e, q = by_batch.split(n), r = by_width.split(q);
            Sum<T> total = picture[e];
            for (int u = 0; u < g.kh; u++) {
                int i = place_of(int(r), u, g.sh, g.ph, g.dh, first + g.rows) - first;
                if (i < 0) continue;
                for (int v = 0; v < g.kw; v++) {
                    int j = place_of(int(q), v, g.sw, g.pw, g.dw, g.columns);
                    if (j < 0) continue;
                    long long tap = u * g.kw + v;
                    total += columns[tap * g.places() + (i * g.columns + j) * g.batch + int(n)];
                }
            }
            picture[e] = T(total);
        }
    }
}
