"""Optimisers, gradient clipping and schedules."""

from . import schedules
from .grad_scaler import GradScaler
from .optimizer import SGD, Adam, AdamW, Optimizer, clip_grad_norm_, clip_grad_value_
from .schedules import OneCycle, annealing_cos, annealing_exp, annealing_linear
