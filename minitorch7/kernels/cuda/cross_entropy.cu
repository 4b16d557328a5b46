// Softmax and cross-entropy in one launch (reference: CrossEntropy in functional/losses.py).
//
//     losses[p] = s[p]·(ln Σ_c exp(x[c, p] − m) + m − x[t[p], p]),   m = max over c
//     slope[c, p] = s[p]·(softmax(x)[c, p] − [c = t[p]])            = ∂ Σ losses / ∂x
//
// P places, C classes; t (P,) class numbers, s (P,) what each place counts. A target that is not a
// class gives NaN. Largest element and sum are found in one walk: when a larger element comes, the
// sum so far is scaled down (Milakov & Gimelshein 2018); a second walk writes the slope.
//
// cross_entropy       x (C, P), as pictures lie in memory: a thread a place, so that neighbouring
//                     threads read neighbouring places
// cross_entropy_rows  x (P, C), as rows of scores lie: a warp a place, its lanes along the classes;
//                     blocks of (32, 8) threads

#include "common.cuh"

// The largest of some numbers, and Σ exp(number − largest).
template <class S> struct LogSum {
    S largest, sum;

    __device__ void merge(LogSum o) {
        S top = largest < o.largest ? o.largest : largest;
        sum = (largest == top ? sum : sum * exp(largest - top)) +
              (o.largest == top ? o.sum : o.sum * exp(o.largest - top));
        largest = top;
    }
};

template <class T>
__global__ void cross_entropy(const T* x, const long long* target, const Sum<T>* shares,
                              Sum<T>* losses, T* slope, int places, int classes) {
    using S = Sum<T>;
    for (unsigned p : along_x(places)) {
        LogSum<S> all = {x[p], 1};
        for (int c = 1; c < classes; c++) all.merge({x[(long long)c * places + p], 1});
        long long t = target[p];
        S share = shares[p];
        bool valid = t >= 0 && t < classes;
        S picked = valid ? S(x[t * places + p]) : S(not_a_number());
        losses[p] = share * (log(all.sum) + (all.largest - picked));
        for (int c = 0; c < classes; c++) {
            long long at = (long long)c * places + p;
            S probability = exp(S(x[at]) - all.largest) / all.sum;
            slope[at] = T(share * (probability - S(c == t)));
        }
    }
}

template <class T>
__global__ void cross_entropy_rows(const T* x, const long long* target, const Sum<T>* shares,
                                   Sum<T>* losses, T* slope, int places, int classes) {
    using S = Sum<T>;
    for (unsigned p : along_y(places)) {  // the same p for all lanes of a warp
        const T* row = x + (long long)p * classes;
        LogSum<S> all = {-S(infinity()), 0};
        for (int c = threadIdx.x; c < classes; c += 32) all.merge({row[c], 1});
        for (int lane = 16; lane > 0; lane /= 2)
            all.merge({__shfl_xor_sync(~0u, all.largest, lane),
                       __shfl_xor_sync(~0u, all.sum, lane)});
        long long t = target[p];
        S share = shares[p];
        bool valid = t >= 0 && t < classes;
        S picked = valid ? S(row[t]) : S(not_a_number());
        if (threadIdx.x == 0) losses[p] = share * (log(all.sum) + (all.largest - picked));
        for (int c = threadIdx.x; c < classes; c += 32) {
            S probability = exp(S(row[c]) - all.largest) / all.sum;
            slope[(long long)p * classes + c] = T(share * (probability - S(c == t)));
        }
    }
}
