"""The lesson's models for pictures.

resnet, vgg, densenet   classifiers, with torchvision's names of parameters
pretrained              their published weights
body                    a classifier without its head, and the sizes its parts give out
unet                    `DynamicUnet`: any such body made into a U-Net
learner                 `unet_learner`
drawing                 a U-Net drawn from the model itself
"""

from ..pth import WeightsError, WeightsNotFound
from .body import create_body
from .densenet import DenseNet, densenet
from .drawing import draw_unet, unet_stages
from .learner import unet_learner
from .pretrained import load_weights, weights_of
from .resnet import ResNet, resnet18, resnet34
from .unet import DynamicUnet, UnetBlock
from .vgg import VGG, vgg16_bn

__all__ = [
    "VGG",
    "DenseNet",
    "DynamicUnet",
    "ResNet",
    "UnetBlock",
    "WeightsError",
    "WeightsNotFound",
    "create_body",
    "densenet",
    "draw_unet",
    "load_weights",
    "resnet18",
    "resnet34",
    "unet_learner",
    "unet_stages",
    "vgg16_bn",
    "weights_of",
]
