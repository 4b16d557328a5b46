"""Every operation, with PyTorch's names, argument order and defaults. One file a family.

arithmetic     + − · / pow exp log sqrt abs sin cos
    broadcasting   broadcast_to sum_to
    comparison     == < where maximum minimum clamp isnan
activations    relu leaky_relu elu gelu silu softplus tanh sigmoid, dropout
reductions     sum mean var std max min argmax softmax log_softmax logsumexp cumsum
shape          reshape permute expand repeat flip cat stack split chunk pad
lookup         indexing, gather, embedding, one_hot
products       matmul linear bmm einsum outer
convolution    conv2d conv_transpose2d conv1d unfold fold
pooling        max, average and adaptive pooling
normalisation  batch, layer, group and instance norm
recurrent      RNN, GRU and LSTM: one step, and whole sequences in one sweep
resampling     pixel_shuffle interpolate
losses         cross_entropy nll_loss binary_cross_entropy_with_logits mse_loss l1_loss …
"""

from .activations import (
    dropout,
    dropout2d,
    elu,
    erf,
    gelu,
    leaky_relu,
    relu,
    sigmoid,
    sigmoid_range,
    silu,
    softplus,
    tanh,
)
from .arithmetic import abs, add, cos, div, exp, floor_divide, log, mul, neg, pow, sin, sqrt, sub
from .broadcasting import broadcast_to, sum_to
from .comparison import (
    clamp,
    eq,
    ge,
    gt,
    isfinite,
    isnan,
    le,
    logical_and,
    logical_not,
    logical_or,
    lt,
    maximum,
    minimum,
    ne,
    where,
)
from .conversion import clone, to
from .convolution import conv1d, conv2d, conv_transpose2d, fold, unfold
from .lookup import embedding, gather, index, index_select, one_hot
from .losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    mse_loss,
    nll_loss,
    smooth_l1_loss,
)
from .methods import bind
from .normalisation import batch_norm, group_norm, instance_norm, layer_norm
from .pooling import adaptive_avg_pool2d, adaptive_max_pool2d, avg_pool2d, max_pool2d
from .products import bmm, einsum, linear, matmul, outer
from .recurrent import gru_cell, gru_sweep, lstm_cell, lstm_sweep, rnn_cell, rnn_sweep
from .reductions import (
    all,
    any,
    argmax,
    argmin,
    cumsum,
    log_softmax,
    logsumexp,
    max,
    mean,
    min,
    softmax,
    std,
    sum,
    var,
)
from .resampling import interpolate, pixel_shuffle, pixel_unshuffle
from .shape import (
    cat,
    chunk,
    expand,
    flatten,
    flip,
    narrow,
    pad,
    permute,
    repeat,
    reshape,
    split,
    squeeze,
    stack,
    transpose,
    unbind,
    unsqueeze,
)

bind()
