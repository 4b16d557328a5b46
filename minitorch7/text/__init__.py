"""The lesson's text: numbers written in words, and models that read them one word at a time.

numbers      the corpus: `human_numbers`
state        `KeepsState`: a model that goes on reading where it stopped
models       the lesson's models 0 to 5, each the one before, written better
losses       what the first two are judged by
learner      `LanguageLearner`
generate     words drawn from a trained model
reach        how far back a model's answer depends on what it read
drawing      the lesson's pictures, drawn from the model itself
"""

from .drawing import draw_loop, draw_unrolled
from .generate import generate
from .learner import LanguageLearner
from .losses import acc4, loss4
from .models import Model0, Model1, Model2, Model3, Model4, Model5, RecurrentModel
from .numbers import human_numbers, number_in_words
from .reach import gradient_reach
from .state import KeepsState

__all__ = [
    "KeepsState",
    "LanguageLearner",
    "Model0",
    "Model1",
    "Model2",
    "Model3",
    "Model4",
    "Model5",
    "RecurrentModel",
    "acc4",
    "draw_loop",
    "draw_unrolled",
    "generate",
    "gradient_reach",
    "human_numbers",
    "loss4",
    "number_in_words",
]
