// One time step of a recurrent layer, between two products: all elementwise work in one launch
// (reference: kernels/recurrent.py, which has the formulas and lays memory out).
//
// gates (G, T, N, H) holds what x and the biases give to each gate, and afterwards the gates'
// values; through (G, N, H) is the product of the state and the weights of one step. States, q, dy
// and what else there is one of a step are (T, N, H) or (N, H). A thread does one of the N·H
// elements, for all gates. `step` is the number t of the time step.
//
// A sigmoid's input comes halved, the ½ being in its weights: σ(a) = ½ + ½·tanh(a/2).
//
// Backward: dh (N, H) is what arrives at h_t from the loss after the last step, or is left over
// from step t + 1; `through`, where it is not null, is what the products with the weights add to
// that, a part for each gate. d (G', T, N, H) receives the gradients before σ and tanh.

#include "common.cuh"

template <class T> __device__ T sigmoid_of_half(T a) { return T(0.5) + T(0.5) * tanh(a); }
template <class T> __device__ T sigmoid_slope(T s) { return s * (1 - s); }
template <class T> __device__ T tanh_slope(T t) { return 1 - t * t; }

// dh at one element: what is left over, what the loss sends to this step, what products bring back.
template <class T>
__device__ T arriving(const T* dh, const T* dy, const T* through, int parts, int size, int e) {
    T total = dh[e] + dy[e];
    if (through)
        for (int k = 0; k < parts; k++) total += through[k * (long long)size + e];
    return total;
}

// ------------------------------------------------------------- h_t = tanh(a) or max(a, 0)

template <class T>
__global__ void rnn_step(const T* a, const T* through, T* h_next, int relu, int size) {
    for (unsigned e : along_x(size)) {
        T sum = a[e] + through[e];
        h_next[e] = !relu ? tanh(sum) : sum < 0 ? T(0) : sum;
    }
}

template <class T>
__global__ void rnn_step_grad(const T* h_next, const T* dy, const T* through, T* dh, T* da,
                              int relu, int size) {
    for (unsigned e : along_x(size)) {
        T arrives = arriving(dh, dy, through, 1, size, e), h = h_next[e];
        da[e] = arrives * (relu ? T(h > 0) : tanh_slope(h));
        dh[e] = 0;  // all of it goes on through the weights
    }
}

// ------------------- r, z = σ, q = W_hn·h + b_hn, n = tanh(a_n + r·q), h_t = n + z·(h_{t−1} − n)

template <class T>
__global__ void gru_step(T* gates, const T* through, const T* inner_bias, const T* h, T* q,
                         T* h_next, int step, int steps, int size, int width) {
    long long gate = (long long)steps * size, now = (long long)step * size;
    for (unsigned e : along_x(size)) {
        T* a = gates + now + e;  // a[k·gate] is gate k
        T r = sigmoid_of_half(a[0] + through[e]);
        T z = sigmoid_of_half(a[gate] + through[size + e]);
        T inner = through[2ll * size + e] + (inner_bias ? inner_bias[e % width] : T(0));
        T n = tanh(a[2 * gate] + r * inner);
        a[0] = r;
        a[gate] = z;
        a[2 * gate] = n;
        q[e] = inner;
        h_next[e] = n + z * (h[e] - n);
    }
}

// d (4, T, N, H): da_r, da_z, dq, da_n; through: the products of the first three with the weights
template <class T>
__global__ void gru_step_grad(const T* gates, const T* q, const T* h, const T* dy, const T* through,
                              T* dh, T* d, int step, int steps, int size) {
    long long gate = (long long)steps * size, now = (long long)step * size;
    for (unsigned e : along_x(size)) {
        const T* value = gates + now + e;
        T r = value[0], z = value[gate], n = value[2 * gate];
        T arrives = arriving(dh, dy, through, 3, size, e);
        T da_n = arrives * (1 - z) * tanh_slope(n);
        T* out = d + now + e;
        out[0] = da_n * q[e] * sigmoid_slope(r);
        out[gate] = arrives * (h[e] - n) * sigmoid_slope(z);
        out[2 * gate] = da_n * r;
        out[3 * gate] = da_n;
        dh[e] = arrives * z;
    }
}

// --------------------------- i, f, o = σ, g = tanh, c_t = f·c_{t−1} + i·g, h_t = o·tanh(c_t)

template <class T>
__global__ void lstm_step(T* gates, const T* through, const T* c, T* c_next, T* h_next, int step,
                          int steps, int size) {
    long long gate = (long long)steps * size, now = (long long)step * size, s = size;
    for (unsigned e : along_x(size)) {
        T* a = gates + now + e;
        T i = sigmoid_of_half(a[0] + through[e]);
        T f = sigmoid_of_half(a[gate] + through[s + e]);
        T g = tanh(a[2 * gate] + through[2 * s + e]);
        T o = sigmoid_of_half(a[3 * gate] + through[3 * s + e]);
        T cell = f * c[e] + i * g;
        a[0] = i;
        a[gate] = f;
        a[2 * gate] = g;
        a[3 * gate] = o;
        c_next[e] = cell;
        h_next[e] = o * tanh(cell);
    }
}

// d (4, T, N, H): da_i, da_f, da_g, da_o; dc (N, H) is left over from step t + 1, like dh
template <class T>
__global__ void lstm_step_grad(const T* gates, const T* c, const T* c_next, const T* dy,
                               const T* through, T* dh, T* dc, T* d, int step, int steps,
                               int size) {
    long long gate = (long long)steps * size, now = (long long)step * size;
    for (unsigned e : along_x(size)) {
        const T* value = gates + now + e;
        T i = value[0], f = value[gate], g = value[2 * gate], o = value[3 * gate];
        T squashed = tanh(c_next[e]);
        T arrives = arriving(dh, dy, through, 4, size, e);
        T cell = dc[e] + arrives * o * tanh_slope(squashed);
        T* out = d + now + e;
        out[0] = cell * g * sigmoid_slope(i);
        out[gate] = cell * c[e] * sigmoid_slope(f);
        out[2 * gate] = cell * i * tanh_slope(g);
        out[3 * gate] = arrives * squashed * sigmoid_slope(o);
        dc[e] = cell * f;
        dh[e] = 0;  // all of it goes on through the weights
    }
}
