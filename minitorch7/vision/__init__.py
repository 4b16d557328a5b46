"""The lesson's models for pictures.

resnet, vgg, densenet   classifiers, with torchvision's names of parameters
cifar_resnet            the residual networks for small pictures, and the same without shortcuts
pretrained              their published weights
body                    a classifier without its head, and the sizes its parts give out
unet                    `DynamicUnet`: any such body made into a U-Net
learner                 `unet_learner`
drawing                 a U-Net drawn from the model itself

For mending photos:

degrade                 photos made worse on purpose: `crappify` and others
degrade_folder          the same for all photos in a folder, in a run that can be stopped
feature_loss            pictures compared by what a trained network sees in them
turned                  such a network, trained without labels
save_preds              a model's pictures as files
restorer, restore       a trained model in one file, and ``python -m minitorch7.vision.restore``

Two networks against each other:

gan                     `GANLearner`
gan_models              critics and a generator
gan_losses, gan_module  what each is told, and both as one model
gan_trainer             the callback by which they take turns, and `gan_switchers`, when
progress_pictures       what a generator makes of one input, epoch after epoch
"""

from ..pth import WeightsError, WeightsNotFound
from .body import create_body
from .cifar_resnet import CifarResNet, cifar_resnet
from .degrade import (
    Recipe,
    crappify,
    cut_out,
    line_drawing,
    original_of,
    resize_one,
    resize_to,
    to_grey,
)
from .degrade_folder import degrade_folder
from .densenet import DenseNet, densenet
from .drawing import draw_unet, unet_stages
from .feature_loss import FeatureLoss, gram_matrix, layers_before_pooling, vgg_features
from .gan import GANLearner
from .gan_losses import (
    AdaptiveLoss,
    NoopLoss,
    WassersteinLoss,
    accuracy_thresh_expand,
    gan_loss_from_func,
    gradient_penalty,
)
from .gan_models import basic_critic, basic_generator, gan_critic
from .gan_module import GANLoss, GANModule
from .gan_switchers import (
    AdaptiveGANSwitcher,
    FixedGANSwitcher,
    GANDiscriminativeLR,
    GANSwitcher,
)
from .gan_trainer import GANTrainer
from .learner import unet_learner
from .pretrained import load_weights, weights_of
from .progress_pictures import ProgressPictures, before_after, gif_of, row_of
from .resnet import ResNet, resnet18, resnet34
from .restorer import Restorer, load_restorer, save_restorer
from .save_preds import save_preds
from .turned import turn_network, turned_photos
from .unet import DynamicUnet, UnetBlock
from .vgg import VGG, vgg16_bn

__all__ = [
    "AdaptiveGANSwitcher",
    "AdaptiveLoss",
    "CifarResNet",
    "DenseNet",
    "DynamicUnet",
    "FeatureLoss",
    "FixedGANSwitcher",
    "GANDiscriminativeLR",
    "GANLearner",
    "GANLoss",
    "GANModule",
    "GANSwitcher",
    "GANTrainer",
    "NoopLoss",
    "ProgressPictures",
    "Recipe",
    "ResNet",
    "Restorer",
    "UnetBlock",
    "VGG",
    "WassersteinLoss",
    "WeightsError",
    "WeightsNotFound",
    "accuracy_thresh_expand",
    "basic_critic",
    "basic_generator",
    "before_after",
    "cifar_resnet",
    "crappify",
    "create_body",
    "cut_out",
    "degrade_folder",
    "densenet",
    "draw_unet",
    "gan_critic",
    "gan_loss_from_func",
    "gif_of",
    "gradient_penalty",
    "gram_matrix",
    "layers_before_pooling",
    "line_drawing",
    "load_restorer",
    "load_weights",
    "original_of",
    "resize_one",
    "resize_to",
    "resnet18",
    "resnet34",
    "row_of",
    "save_preds",
    "save_restorer",
    "to_grey",
    "turn_network",
    "turned_photos",
    "unet_learner",
    "unet_stages",
    "vgg16_bn",
    "vgg_features",
    "weights_of",
]
