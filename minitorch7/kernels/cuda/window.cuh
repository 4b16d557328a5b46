// A window of kh×kw taps that slides over a picture (see kernels/windows.py).

#pragma once

// Sizes of x (channels, height, width, batch) and of the places (rows, columns) that the window
// visits; tap (u, v) at place (i, j) lies on row i·sh + u·dh − ph and column j·sw + v·dw − pw.
struct Geometry {
    int channels, height, width, batch;
    int rows, columns;
    int kh, kw, sh, sw, ph, pw, dh, dw;

    __device__ int pixels() const { return height * width * batch; }   // of one channel
    __device__ int places() const { return rows * columns * batch; }
};

__device__ inline bool inside(int at, int n) { return unsigned(at) < unsigned(n); }

// The place from which tap `tap` of the window sees picture index `at`, along one axis:
// i = (at + p − tap·d)/s. Below 0 where there is none, the division leaving a rest or i lying
// outside. A stride of 1 is worth a question: a GPU has no instruction that divides integers.
__device__ inline int place_of(int at, int tap, int stride, int padding, int dilation, int count) {
    int shifted = at + padding - tap * dilation;
    int place = stride == 1 ? shifted : shifted / stride;
    return place * stride == shifted && place < count ? place : -1;
}
