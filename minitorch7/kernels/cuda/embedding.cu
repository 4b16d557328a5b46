// The gradient of an embedding's table (reference: EmbeddingGrad in functional/lookup.py).
//
//     table[v, d] = Σ g[p, d] over the places p whose id is v;  0 for v = padding (−1: for none)
//
// g (P, D), table (V, D). The places come sorted: keys[k] = id·P + place, ascending, so that those
// of id v are one stretch, found by halving, and lie in order of their places. Each thread adds up
// one element of the table, along the grid's x axis; y goes over the ids. Nothing is atomic: an
// atomic addition would take one place after the other where an id is frequent, and would add in an
// order that differs from run to run, and so would the weights.

#include "common.cuh"

// How many of the ascending keys are less than `bound`.
__device__ inline int count_below(const long long* keys, int n, long long bound) {
    int low = 0, high = n;
    while (low < high) {
        int middle = (low + high) / 2;
        if (keys[middle] < bound) low = middle + 1;
        else high = middle;
    }
    return low;
}

template <class T>
__global__ void embedding_grad(const T* g, const long long* keys, T* table, int places, int ids,
                               int width, int padding) {
    for (unsigned v : along_y(ids)) {
        long long least = (long long)v * places;
        int begin = count_below(keys, places, least);
        int end = int(v) == padding ? begin : count_below(keys, places, least + places);
        for (unsigned d : along_x(width)) {
            Sum<T> total = 0;
            for (int k = begin; k < end; k++) total += g[(keys[k] - least) * width + d];
            table[(long long)v * width + d] = T(total);
        }
    }
}
