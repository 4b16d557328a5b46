// Uniform and normal numbers and dropout from a counter (reference, and twin: kernels/philox.py).
//
// Philox4x64-10 turns a counter of four 64-bit words, under a key of two, into four random words:
// there is no state to hand on, so that every thread makes its own numbers from where they stand,
// and backward makes again what forward made. (Salmon, Moraes, Dror & Shaw 2011) Here
//
//     counter = (block, draw, 0, 0),   key = (seed, 0)
//
// where `draw` counts the calls since the seed was set, and `block` goes through one call's words
// by fours. `base`, where it is not null, holds a number to be added to `draw`: a captured graph
// replays its arguments, and moves on by what lies in memory.
//
//     float   uniform i = (half i >> 8)·2⁻²⁴, where halves 2k and 2k + 1 are word k's low and high
//     double  uniform i = (word i >> 11)·2⁻⁵³
//     normal  pairs by Box & Muller (1958): √(−2 ln u)·cos 2πv and ·sin 2πv, u in (0, 1]
//     dropout y = x/(1 − p) where uniform ≥ p, else 0;  the uniform number is float's for any type
//
// The smaller Philox4x32-10 would take about a third of the multiplications. This is the one that
// NumPy has as well, so that the same numbers cost little on either side.
//
// uniform, normal: a thread a block of four words. dropout: a thread an element.

#include "common.cuh"

using Word = unsigned long long;

struct Words {
    Word w[4];
};

__device__ inline Words philox(Words counter, Word key0, Word key1) {
    constexpr Word first = 0xD2E7470EE14C6C93ull, second = 0xCA5A826395121157ull;
    for (int round = 0; round < 10; round++) {
        Word low0 = first * counter.w[0], high0 = __umul64hi(first, counter.w[0]);
        Word low1 = second * counter.w[2], high1 = __umul64hi(second, counter.w[2]);
        counter = {{high1 ^ counter.w[1] ^ key0, low1, high0 ^ counter.w[3] ^ key1, low0}};
        key0 += 0x9E3779B97F4A7C15ull;
        key1 += 0xBB67AE8584CAA73Bull;
    }
    return counter;
}

__device__ inline Words block_of(Word block, Word draw, Word seed) {
    return philox({{block, draw, 0, 0}}, seed, 0);
}

__device__ inline float fraction(unsigned half) { return float(half >> 8) * 0x1p-24f; }

__device__ inline float fraction(const Words& words, int i, float) {
    return fraction(unsigned(words.w[i / 2] >> 32 * (i % 2)));
}

__device__ inline double fraction(const Words& words, int i, double) {
    return double(words.w[i] >> 11) * 0x1p-53;
}

template <class S> constexpr int per_block = 32 / sizeof(S);  // numbers made of four words

template <class T>
__global__ void uniform(T* y, long long n, Word seed, Word draw, const Word* base) {
    using S = Sum<T>;
    constexpr int count = per_block<S>;
    if (base) draw += *base;
    for (unsigned block : along_x(unsigned((n + count - 1) / count))) {
        Words words = block_of(block, draw, seed);
        for (int i = 0; i < count; i++) {
            long long at = (long long)block * count + i;
            if (at < n) y[at] = T(fraction(words, i, S()));
        }
    }
}

template <class T>
__global__ void normal(T* y, long long n, Word seed, Word draw, const Word* base) {
    using S = Sum<T>;
    constexpr int count = per_block<S>;
    if (base) draw += *base;
    for (unsigned block : along_x(unsigned((n + count - 1) / count))) {
        Words words = block_of(block, draw, seed);
        for (int i = 0; i < count; i += 2) {
            S u = 1 - fraction(words, i, S()), v = fraction(words, i + 1, S());  // exact: u > 0
            S radius = sqrt(S(-2) * log(u));
            long long at = (long long)block * count + i;
            if (at < n) y[at] = T(radius * cospi(2 * v));
            if (at + 1 < n) y[at + 1] = T(radius * sinpi(2 * v));
        }
    }
}

// x, y lie in memory as (rows, columns), and element (r, c) is number c·rows + r of those drawn: an
// array (N, C, H, W) whose memory is (C, H, W, N) drops what one in order of (N, …) would.
// `same` neighbours share one number: for whole channels it is H·W.
template <class T>
__global__ void dropout(const T* x, T* y, int rows, int columns, int same, double p,
                        Word seed, Word draw, const Word* base) {
    Divider by_columns(columns), by_same(same);
    if (base) draw += *base;
    for (unsigned e : along_x(rows * columns)) {
        unsigned c = e, r = by_columns.split(c);
        unsigned number = by_same.over(c * rows + r);
        Words words = block_of(number / 8, draw, seed);
        unsigned k = number / 2 % 4;  // no array is indexed: words stay in registers
        Word word = k < 2 ? (k ? words.w[1] : words.w[0]) : (k == 2 ? words.w[2] : words.w[3]);
        bool keep = fraction(unsigned(word >> 32 * (number % 2))) >= float(p);
        y[e] = keep ? T(Sum<T>(x[e]) * Sum<T>(1 / (1 - p))) : T(0);
    }
}
