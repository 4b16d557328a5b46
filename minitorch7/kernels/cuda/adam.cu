// One step of Adam or AdamW for all parameters in one launch (reference: optim/optimizer.py).
//
//     g ← g + decay·p                          Adam;   p ← p·(1 − lr·decay) for AdamW
//     m ← β₁m + (1 − β₁)g,   v ← β₂v + (1 − β₂)g²
//     p ← p − lr·m/c₁ / (√(v/c₂) + eps),       c₁ = 1 − β₁ᵗ, c₂ = 1 − β₂ᵗ
//
// The parameters lie anywhere: `table` has a row of six numbers for each, the addresses of p, g, m
// and v, how many elements they have, and the number of its first chunk. A chunk is `per_chunk`
// elements, and a block does one: it looks its parameter up by halving, for first chunks ascend.
// What changes from step to step comes from memory, not as an argument, because a captured graph
// replays its arguments: options = (lr, β₁, β₂, eps, decay, c₁, c₂).

#include "common.cuh"

template <class T>
__global__ void adam(const long long* table, int parameters, const double* options, int decoupled,
                     int per_chunk) {
    int low = 0, high = parameters;  // the last row whose first chunk is not beyond this block's
    while (high - low > 1) {
        int middle = (low + high) / 2;
        if (table[6 * middle + 5] <= blockIdx.x) low = middle;
        else high = middle;
    }
    const long long* row = table + 6 * low;
    T *p = (T*)row[0], *m = (T*)row[2], *v = (T*)row[3];
    const T* g = (const T*)row[1];
    long long begin = (blockIdx.x - row[5]) * per_chunk;
    long long end = min(begin + per_chunk, row[4]);

    double lr = options[0], decay = options[4];
    T beta1 = T(options[1]), rest1 = T(1 - options[1]), beta2 = T(options[2]);
    T rest2 = T(1 - options[2]), eps = T(options[3]);
    T l2 = decoupled ? T(0) : T(decay), shrink = decoupled ? T(1 - lr * decay) : T(1);
    T step = T(lr / options[5]), correction = T(1 / sqrt(options[6]));
    for (long long i = begin + threadIdx.x; i < end; i += blockDim.x) {
        T weight = p[i] * shrink, slope = g[i] + l2 * p[i];
        T mean = beta1 * m[i] + rest1 * slope, square = beta2 * v[i] + rest2 * slope * slope;
        m[i] = mean;
        v[i] = square;
        p[i] = weight - step * mean / (sqrt(square) * correction + eps);
    }
}
