// Standardising rows, and its gradient (reference: kernels/normalisation.py).
//
//     y = (x − μ)·s·scale + shift,  s = 1/√(σ² + eps),  μ and the biased σ² of each row
//     dx = scale·s·(g − mean(g) − x̂·mean(g·x̂)),  and the sums Σ g·x̂, Σ g;   x̂ = (x − μ)·s
//
// x, y, g, dx (R, M); scale, shift, mean, variance, inverse, sum_gx, sum_g (R,) in the type of
// sums; scale and shift may be null, for 1 and 0. For batch norm a row is a channel: few and long.
// So the grid's x axis goes over rows and its y axis over parts of a row, and there are two passes:
//
//     1. each block sums up its part:  row_moments, row_agreement   → parts (R, P, 2)
//     2. each block merges all parts of its row, always in the same order, and finishes its own:
//        standardise, standardise_grad
//
// The mean and the squared distances from it are found in one walk (Welford 1962), and the threads'
// are merged by Chan, Golub & LeVeque (1979): E[x²] − E[x]² would lose every digit where the mean
// is large beside the spread.

#include "common.cuh"

// How many numbers, their mean, and the sum of their squared distances from it.
template <class S> struct Moments {
    S count, mean, squares;

    __device__ void add(S x) {
        count += 1;
        S before = x - mean;
        mean += before / count;
        squares += before * (x - mean);
    }
    __device__ void merge(Moments o) {
        if (o.count == 0) return;
        S total = count + o.count, apart = o.mean - mean;
        mean += apart * (o.count / total);
        squares += o.squares + apart * apart * (count * (o.count / total));
        count = total;
    }
    __device__ Moments from_lane(int distance) const {
        return {__shfl_down_sync(~0u, count, distance), __shfl_down_sync(~0u, mean, distance),
                __shfl_down_sync(~0u, squares, distance)};
    }
};

// Part number p of a row: its elements p·per_part … below min((p + 1)·per_part, length).
struct Part {
    int begin, end;

    __device__ Part(int p, int length, int per_part) {
        begin = min(p * per_part, length);
        end = min(begin + per_part, length);
    }
};

template <class T>
__global__ void row_moments(const T* x, Sum<T>* parts, int length, int per_part) {
    Part part(blockIdx.y, length, per_part);
    const T* row = x + (long long)blockIdx.x * length;
    Moments<Sum<T>> own = {0, 0, 0};
    for (int i = part.begin + threadIdx.x; i < part.end; i += blockDim.x) own.add(row[i]);
    own = over_block(own);
    if (threadIdx.x == 0) {
        Sum<T>* out = parts + 2 * ((long long)blockIdx.x * gridDim.y + blockIdx.y);
        out[0] = own.mean;
        out[1] = own.squares;
    }
}

template <class T>
__global__ void standardise(const T* x, const Sum<T>* parts, const Sum<T>* scale,
                            const Sum<T>* shift, T* y, Sum<T>* mean, Sum<T>* variance,
                            Sum<T>* inverse, int length, int per_part, double eps) {
    using S = Sum<T>;
    long long row = blockIdx.x;
    Moments<S> all = {0, 0, 0};
    for (unsigned p = threadIdx.x; p < gridDim.y; p += blockDim.x) {
        Part part(p, length, per_part);
        const S* found = parts + 2 * (row * gridDim.y + p);
        all.merge({S(part.end - part.begin), found[0], found[1]});
    }
    all = over_block(all);
    S spread = length > 0 ? all.squares / S(length) : S(0);
    S s = S(1) / sqrt(spread + S(eps));
    if (blockIdx.y == 0 && threadIdx.x == 0) {
        mean[row] = all.mean;
        variance[row] = spread;
        inverse[row] = s;
    }
    S factor = scale ? s * scale[row] : s, term = shift ? shift[row] : S(0);
    Part own(blockIdx.y, length, per_part);
    for (int i = own.begin + threadIdx.x; i < own.end; i += blockDim.x) {
        long long at = row * length + i;
        y[at] = T((S(x[at]) - all.mean) * factor + term);
    }
}

template <class T>
__global__ void row_agreement(const T* g, const T* x, const Sum<T>* mean, Sum<T>* parts,
                              int length, int per_part) {
    using S = Sum<T>;
    Part part(blockIdx.y, length, per_part);
    S centre = mean[blockIdx.x];
    Two<S> own = {0, 0};  // Σ g and Σ g·(x − μ)
    for (int i = part.begin + threadIdx.x; i < part.end; i += blockDim.x) {
        long long at = (long long)blockIdx.x * length + i;
        own.merge({S(g[at]), S(g[at]) * (S(x[at]) - centre)});
    }
    own = over_block(own);
    if (threadIdx.x == 0) {
        S* out = parts + 2 * ((long long)blockIdx.x * gridDim.y + blockIdx.y);
        out[0] = own.a;
        out[1] = own.b;
    }
}

template <class T>
__global__ void standardise_grad(const T* g, const T* x, const Sum<T>* mean, const Sum<T>* inverse,
                                 const Sum<T>* scale, const Sum<T>* parts, T* dx, Sum<T>* sum_gx,
                                 Sum<T>* sum_g, int length, int per_part) {
    using S = Sum<T>;
    long long row = blockIdx.x;
    Two<S> all = {0, 0};
    for (unsigned p = threadIdx.x; p < gridDim.y; p += blockDim.x) {
        const S* found = parts + 2 * (row * gridDim.y + p);
        all.merge({found[0], found[1]});
    }
    all = over_block(all);
    S s = inverse[row], centre = mean[row], factor = scale ? s * scale[row] : s;
    if (blockIdx.y == 0 && threadIdx.x == 0) {
        sum_g[row] = all.a;
        sum_gx[row] = all.b * s;
    }
    S share = S(1) / S(max(length, 1));
    S mean_g = all.a * share, slope = all.b * s * s * share;
    Part own(blockIdx.y, length, per_part);
    for (int i = own.begin + threadIdx.x; i < own.end; i += blockDim.x) {
        long long at = row * length + i;
        dx[at] = T(factor * (S(g[at]) - mean_g - (S(x[at]) - centre) * slope));
    }
}

// ------------------------------------- running statistics: r ← (1 − m)·r + m·(the batch's), (R,)

// `unbiased` turns the batch's variance, a mean of M squares, into the one over M − 1.
template <class T>
__global__ void move_running(T* running_mean, T* running_variance, const T* mean, const T* variance,
                             double momentum, double unbiased, int rows) {
    T kept = T(1 - momentum), taken = T(momentum), factor = T(unbiased);
    for (unsigned r : along_x(rows)) {
        running_mean[r] = running_mean[r] * kept + taken * mean[r];
        running_variance[r] = running_variance[r] * kept + taken * (variance[r] * factor);
    }
}
