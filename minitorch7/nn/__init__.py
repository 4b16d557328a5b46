"""Layers, containers and models, with PyTorch's names and fastai v1's blocks."""

from . import init
from .activation import (
    ELU,
    GELU,
    Dropout,
    Dropout2d,
    LeakyReLU,
    LogSoftmax,
    ReLU,
    Sigmoid,
    SigmoidRange,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .attention import SelfAttention
from .blocks import NormType, batchnorm_2d, conv_layer, res_block
from .containers import Flatten, Lambda, MergeLayer, ModuleList, Sequential, SequentialEx
from .convolution import Conv1d, Conv2d, ConvTranspose2d, Fold, Unfold
from .flat_losses import BCEWithLogitsFlat, CrossEntropyFlat, MSELossFlat
from .linear import Embedding, Identity, Linear
from .loss import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss, SmoothL1Loss
from .module import Module, Parameter, evaluating
from .normalisation import (
    BatchNorm1d,
    BatchNorm1dFlat,
    BatchNorm2d,
    GroupNorm,
    InstanceNorm2d,
    LayerNorm,
)
from .pooling import (
    AdaptiveAvgPool2d,
    AdaptiveConcatPool2d,
    AdaptiveMaxPool2d,
    AvgPool2d,
    MaxPool2d,
    PixelShuffle,
    PixelUnshuffle,
    PoolFlatten,
    ReflectionPad2d,
    ReplicationPad2d,
    Upsample,
    ZeroPad2d,
)
from .recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
from .reparametrise import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from .upsampling import PixelShuffle_ICNR
