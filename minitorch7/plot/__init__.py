"""Every picture the project draws: grids of images, curves, schedules, matrices, bars.

The functions take arrays and lists and return a matplotlib ``Figure``, or the frames of a film.
They know nothing of learners and data sets, so that any room may call them. Figures are made
without pyplot: nothing is registered globally, no window opens, no figure outlives its last
reference, and a machine without a screen draws as well as one with. matplotlib and Pillow are
imported by the first drawing, not before.

    figure = plot.image_grid(images, titles=names)
    plot.save(figure, "out/batch.png")

In a notebook a figure that ends a cell is shown by itself.

    canvas        colours, a figure with its axes, labels, the PNG file
    pictures      grids of images, with masks of classes over them
    lines         losses, metrics, schedules, the learning-rate finder
    matrices      a confusion matrix
    surfaces      functions of two variables, as hills and as contour lines
    bars          bars, plain or made of parts
    diagram       boxes, circles and triangles with arrows between them
    graph         a graph of computation in layers, laid out by itself
    convolution   what a sliding window reads, frame by frame
    film          frames as an animated GIF

`canvas` is the place to begin; each of the others needs nothing but it.
"""

from .bars import bar_chart, stacked_bars
from .canvas import (
    BLUE,
    DOTS_PER_INCH,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILLION,
    plot_multi,
    save,
)
from .convolution import draw_windows
from .diagram import Diagram
from .film import save_gif
from .graph import draw_graph
from .lines import curves, loss_curves, lr_curve, metric_curves, schedule
from .matrices import confusion
from .pictures import MASK_COLORS, image_grid, segmentation_grid
from .surfaces import surfaces

__all__ = [
    "BLUE",
    "DOTS_PER_INCH",
    "Diagram",
    "GREEN",
    "GREY",
    "MASK_COLORS",
    "ORANGE",
    "PALETTE",
    "PURPLE",
    "SKY",
    "VERMILLION",
    "bar_chart",
    "confusion",
    "curves",
    "draw_graph",
    "draw_windows",
    "image_grid",
    "loss_curves",
    "lr_curve",
    "metric_curves",
    "plot_multi",
    "save",
    "save_gif",
    "schedule",
    "segmentation_grid",
    "stacked_bars",
    "surfaces",
]
