// Nearest and bilinear resampling of rows and columns, and their adjoints
// (reference: kernels/resampling.py, and the matrices of functional/resampling.py).
//
//     nearest        y[c, i, j, n] = x[c, rows.low[i], columns.low[j], n]
//     nearest_grad   dx[c, r, q, n] = Σ dy[c, i, j, n] over all i, j with low[i] = r, low[j] = q
//     bilinear       y[c, i, j, n] = Σ over r ∈ {low[i], low[i] + 1}, q likewise, of
//                    weight(i, r)·weight(j, q)·x[c, r, q, n]
//     bilinear_grad  dx[c, r, q, n] = Σ weight(i, r)·weight(j, q)·dy[c, i, j, n]
//
// where weight(i, low[i]) = 1 − w[i] and weight(i, low[i] + 1) = w[i], the latter falling on the
// last element where low[i] is the last. x, dx (C, H, W, N); y, dy (C, h, w, N). The grid's y axis
// goes over channels, its threads along x over the elements of a channel that is written.
//
// The adjoints gather too: `low` ascends, so the outputs that read input r lie between first[r] and
// first[r + 1] (nearest) or first[r − 1] and first[r + 1] (bilinear), first[r] being the number of
// outputs with low below r. first has an element more than the input.

#include "common.cuh"

// Along one axis: of m outputs, the lower input each reads, how much weight the next one has, and
// for each of n inputs the first output whose lower input is not below it.
template <class S> struct Axis {
    const int* low;
    const S* weight;
    const int* first;
    int n, m;

    // the weight with which output i reads input r
    __device__ S of(int i, int r) const {
        int next = min(low[i] + 1, n - 1);
        return (low[i] == r ? 1 - weight[i] : S(0)) + (next == r ? weight[i] : S(0));
    }
};

template <class Work>
__device__ void for_elements(int channels, int rows, int columns, int batch, Work work) {
    Divider by_batch(batch), by_columns(columns);
    for (unsigned c : along_y(channels))
        for (unsigned e : along_x(rows * columns * batch)) {
            unsigned n = e, j = by_batch.split(n), i = by_columns.split(j);
            work((long long)c, int(i), int(j), int(n), (long long)c * rows * columns * batch + e);
        }
}

template <class T>
__global__ void nearest(const T* x, T* y, const int* low_rows, const int* low_columns, int channels,
                        int height, int width, int rows, int columns, int batch) {
    for_elements(channels, rows, columns, batch,
                 [=](long long c, int i, int j, int n, long long e) {
        y[e] = x[((c * height + low_rows[i]) * width + low_columns[j]) * batch + n];
    });
}

template <class T>
__global__ void nearest_grad(const T* dy, T* dx, const int* first_rows, const int* first_columns,
                             int channels, int height, int width, int rows, int columns,
                             int batch) {
    for_elements(channels, height, width, batch,
                 [=](long long c, int r, int q, int n, long long e) {
        Sum<T> total = 0;
        for (int i = first_rows[r]; i < first_rows[r + 1]; i++)
            for (int j = first_columns[q]; j < first_columns[q + 1]; j++)
                total += dy[((c * rows + i) * columns + j) * batch + n];
        dx[e] = T(total);
    });
}

template <class T>
__global__ void bilinear(const T* x, T* y, const int* low_rows, const Sum<T>* weight_rows,
                         const int* low_columns, const Sum<T>* weight_columns, int channels,
                         int height, int width, int rows, int columns, int batch) {
    using S = Sum<T>;
    for_elements(channels, rows, columns, batch,
                 [=](long long c, int i, int j, int n, long long e) {
        int r = low_rows[i], below = min(r + 1, height - 1);
        int q = low_columns[j], right = min(q + 1, width - 1);
        S down = weight_rows[i], across = weight_columns[j];
        auto read = [&](int row, int column) {
            return S(x[((c * height + row) * width + column) * batch + n]);
        };
        S upper = (1 - across) * read(r, q) + across * read(r, right);
        S lower = (1 - across) * read(below, q) + across * read(below, right);
        y[e] = T((1 - down) * upper + down * lower);
    });
}

template <class T>
__global__ void bilinear_grad(const T* dy, T* dx, const int* low_rows, const Sum<T>* weight_rows,
                              const int* first_rows, const int* low_columns,
                              const Sum<T>* weight_columns, const int* first_columns, int channels,
                              int height, int width, int rows, int columns, int batch) {
    Axis<Sum<T>> down = {low_rows, weight_rows, first_rows, height, rows};
    Axis<Sum<T>> across = {low_columns, weight_columns, first_columns, width, columns};
    for_elements(channels, height, width, batch,
                 [=](long long c, int r, int q, int n, long long e) {
        Sum<T> total = 0;
        for (int i = down.first[max(r - 1, 0)]; i < down.first[r + 1]; i++) {
            Sum<T> row = 0;
            for (int j = across.first[max(q - 1, 0)]; j < across.first[q + 1]; j++)
                row += across.of(j, q) * Sum<T>(dy[((c * rows + i) * columns + j) * batch + n]);
            total += down.of(i, r) * row;
        }
        dx[e] = T(total);
    });
}
