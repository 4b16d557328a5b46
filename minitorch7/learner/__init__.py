"""Training: the Learner and everything around its loop.

    learner      the Learner: the loop, fitting, layer groups, saving
    predict      what a trained model answers
    callbacks    the events of the loop, and how to steer it
    recorder     what a fit looked like, and its curves
    schedule     the one-cycle policy and the learning-rate finder
    groups       layer groups: discriminative learning rates, freezing
    metrics      accuracy and its kin, averages over batches
    segmentation, tally                  scores of masks, counted over a whole set
    quality, loss_metrics                scores of pictures; the parts of a loss as columns
    perplexity                           the score of language models
    progress     the table and the bar
    summary      the table of layers
    state, checkpoints, resume, files    training that survives
    mixed_precision                      float16 products, float32 weights
    captured                             a step recorded once and replayed: capture=True
    numerics, interrupt                  a NaN in the loss; Ctrl-C
    interpret, results                   mistakes and pictures of them
    landscape                            slices through a loss, and its second derivatives

Each file can be read alone; `learner` and `callbacks` are the place to begin.
"""

from .callbacks import Callback, CancelBatch, CancelEpoch, CancelFit
from .checkpoints import CheckpointError
from .groups import lr_range
from .interpret import Interpretation, interpret
from .learner import Learner, default_opt
from .loss_metrics import LossMetrics
from .metrics import accuracy, accuracy_thresh, error_rate
from .mixed_precision import MixedPrecision, to_fp16, to_fp32
from .numerics import NonFiniteLoss
from .perplexity import perplexity
from .quality import PSNR, SSIM, psnr, sharpness, ssim
from .recorder import Recorder, SmoothedLoss
from .segmentation import (
    MeanIoU,
    acc_camvid,
    confusion_counts,
    iou_camvid,
    iou_per_class,
    pixel_accuracy,
    segmentation_confusion,
)
from .summary import Summary, summarize

__all__ = [
    "Callback",
    "CancelBatch",
    "CancelEpoch",
    "CancelFit",
    "CheckpointError",
    "Interpretation",
    "Learner",
    "LossMetrics",
    "MeanIoU",
    "MixedPrecision",
    "NonFiniteLoss",
    "PSNR",
    "Recorder",
    "SSIM",
    "SmoothedLoss",
    "Summary",
    "acc_camvid",
    "accuracy",
    "accuracy_thresh",
    "confusion_counts",
    "default_opt",
    "error_rate",
    "interpret",
    "iou_camvid",
    "iou_per_class",
    "lr_range",
    "perplexity",
    "pixel_accuracy",
    "psnr",
    "segmentation_confusion",
    "sharpness",
    "ssim",
    "summarize",
    "to_fp16",
    "to_fp32",
]
