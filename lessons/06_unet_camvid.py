# %% [markdown]
# # 6. A class for every pixel: the U-Net on street scenes
#
# A classifier looks at a picture and says one word. A car that drives itself needs
# more: for every pixel, whether it is road, pavement, a tree, a person. That is
# *segmentation*. At the end of this lesson you can make such a network, a U-Net, of
# any classifier, account for every row of fast.ai's published table of 152 layers,
# train it on real drives through Cambridge, and say what its scores are worth.
#
# It follows the U-Net part of fast.ai's 2019 lesson 7 and its notebook
# `lesson3-camvid-tiramisu`. Run it as a script, or as a notebook, a cell at a time:
#
#     python lessons/06_unet_camvid.py            # all of it: half an hour on two cores
#     python lessons/06_unet_camvid.py --quick    # a taste, in about a minute
#     python lessons/06_unet_camvid.py --backend cupy   # the lesson's full recipe
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.data import VOID, get_transforms, imagenet_stats
from minitorch7.learner import (
    acc_camvid,
    iou_camvid,
    iou_per_class,
    segmentation_confusion,
    summarize,
)
from minitorch7.vision import (
    DynamicUnet,
    UnetBlock,
    create_body,
    draw_unet,
    resnet18,
    resnet34,
    unet_learner,
)

options = lesson.options_of(
    "Lesson 6: a U-Net that gives every pixel of a street scene its class.",
    "out/06_unet_camvid",
)
on_gpu = mt.backend.active() == "cupy" and not options.quick

# %% [markdown]
# ## The data
#
# CamVid has frames of four drives, 360 by 480 pixels, and for each a second
# picture of the same size in which a pixel is not a colour but a number: 0 for
# sky, 3 for road, 8 for a car. Such a label is called a *mask*. Somebody drew all
# of them by hand.

# %%
source = lesson.streets(options)
print(f"{len(source.codes)} classes:", ", ".join(source.codes))

# %% [markdown]
# The chain is the one of lesson 3. What is new is how an item gets its label: a
# function from the picture's path to the mask's. Which pictures are for validation
# stands in a list, because a random choice would cheat. Frames of a film look like
# their neighbours, and a network that has trained on the frame before has as good
# as seen this one. The list holds one stretch of one drive, 101 frames. Other
# stretches of that drive are for training, so this is a kinder test than a street
# that nobody has seen.

# %%
items = source.images().split_by_files(source.valid)
sets = items.label_from_func(source.mask_of, classes=source.codes)
if options.quick:
    sets.train, sets.valid = sets.train[:40], sets.valid[:16]
print(sets.train)
print("validation:", len(sets.valid))

# %% [markdown]
# Look at a mask before you train on it. This one is a picture of numbers.

# %%
mask = sets.train.y[0][0]
print("one mask:", mask.shape, mask.dtype, "classes", np.unique(mask).tolist())

# %% [markdown]
# ### Variation, of both at once
#
# A street mirrored is a street. Turned by ten degrees, zoomed, seen from a little
# to the left, in other light: still the same street. `get_transforms` draws all of
# that at random. Only, if the picture is mirrored and its mask is not, we teach
# nonsense. So `tfm_y=True` gives the mask *the same draws*, with two differences: light
# does not change a class, and halfway between a road (3) and a tree (5) there is no
# pavement (4), so masks are not blended but take the nearest pixel.
#
# All movements of a picture are one sampling: each is a 3 by 3 matrix on
# coordinates, and the product of three matrices is a matrix. Sampling three times
# would blur three times.
#
# On a processor we train at 96 by 128 pixels, on a GPU at the full 360 by 480.

# %%
size = (360, 480) if on_gpu else (48, 64) if options.quick else (96, 128)
sets = sets.transform(get_transforms(), size=size, tfm_y=True)
data = sets.databunch(bs=8, seed=options.seed).normalize(imagenet_stats)
lesson.show(data.show_batch(rows=2, figsize=(9, 7)), options, "1_batch")

# %% [markdown]
# The same picture six times. Do mask and picture move together?

# %%
looks = [data.train_ds[0] for _ in range(6)]
pictures, masks = (np.stack([np.asarray(look[i]) for look in looks]) for i in (0, 1))
lesson.show(
    plot.image_grid(pictures, rows=2, cols=3, masks=masks, classes=source.codes),
    options,
    "2_moves",
)

# %% [markdown]
# ### What would be a bad score?
#
# Half of the battle is to know what a number means. Count the pixels: how often is
# each class there? Whoever answers the most frequent class everywhere is right
# that often. And are the two sets alike?


# %%
def shares_of(masks):
    """How large a part of all pixels each class is."""
    counts = np.zeros(len(source.codes), dtype=np.int64)
    for i in range(len(masks)):
        counts += np.bincount(masks[i].ravel(), minlength=len(counts))
    return counts / counts.sum()


train_shares, valid_shares = shares_of(data.train_ds.y), shares_of(data.valid_ds.y)
print("class           training  validation")
for k in np.argsort(-valid_shares):
    print(f"    {source.codes[k]:<12} {train_shares[k]:6.1%}  {valid_shares[k]:6.1%}")
labelled = np.delete(valid_shares, VOID)
print(f"always the same answer: {labelled.max() / labelled.sum():.3f}")

# %% [markdown]
# They are not alike. The stretch for validation has more trees, less sky, a third
# of the cars, and eight times the cyclists. (So it is with CamVid. If yours are
# drawn streets, they are alike.) Keep the cyclists in mind.
#
# The last class, Void, means that nobody labelled the pixel. It is in the training
# loss like any other class (the lesson does it so, and a network may learn where
# people give up), but not in the score: `acc_camvid` leaves those pixels out. And
# because a network can score well and never once find a pedestrian, we also look
# at the mean *intersection over union*: for each class, of the pixels that are it
# or are called it, how many are both.
#
# ## From a classifier to a U-Net
#
# How would you build it? You know a network that takes a picture and says what it is,
# a ResNet. Its body, all but the last pooling and the linear layer, halves the grid
# five times. A picture of 360 by 480 becomes 512 channels on a grid of 12 by 15,
# where every place knows much about what is there, and nothing about exactly where.
# So you add layers that double the grid again, five times (lesson 5), until there is
# an answer for every pixel.
#
# It works, badly. To draw the edge of a lamp post, the last layers need pixels, and
# all they are given has been through a grid of 12 by 15. The way out is the one of
# lesson 3: a connection that skips. Call the way down the *encoder* and the way up
# the *decoder*. At every doubling, fetch the encoder's activations *of that size* and
# put them beside what comes from below. This is the U-Net of Ronneberger, Fischer and
# Brox (2015); here it is, drawn from the model.

# %%
mt.manual_seed(options.seed)
model = DynamicUnet(
    create_body(resnet34, pretrained=False),
    n_classes=12,
    img_size=(360, 480),
    norm_type=None,
    bottle=True,
)
lesson.show(draw_unet(model, (360, 480)), options, "3_the_u")

# %% [markdown]
# `DynamicUnet` had never heard of a ResNet. It sent an empty picture through the
# encoder, with a *hook* on every child, a function that is told what a layer gives
# out, and looked where the grid shrinks. What a child gives out just *before* the
# grid shrinks is the last of its size, and gets a cross connection.

# %%
print("the encoder's children:", [type(child).__name__ for child in model[0]])
print("cross connections after children", model.crossings)

# %% [markdown]
# One step up is a `UnetBlock`. From below come `up_in_c` channels. A pixel shuffle
# doubles the grid and leaves half of them. Beside them go the encoder's channels,
# through a batch norm, since they come from another part of the network and are on
# another scale. A ReLU, two convolutions, done.
#
# 23 rows doubled are 46, but the encoder had 45: it rounded up when it halved.
# Then the nearest pixels are taken, to fit.

# %%
block = UnetBlock(up_in_c=512, x_in_c=128)
below, across = mt.randn(1, 512, 23, 30), mt.randn(1, 128, 45, 60)
up = block.shuf(below)
print("shuffled:", up.shape, " across:", across.shape)
up = F.interpolate(up, size=(45, 60))  # to fit
joined = block.relu(F.cat([up, block.bn(across)], dim=1))
by_hand = block.conv2(block.conv1(joined))
gap = (by_hand - block(below, across)).abs().max().item()
print("joined:", joined.shape, " out:", by_hand.shape, f" differs by {gap}")

# %% [markdown]
# Four blocks bring the grid to 180 by 240. One more pixel shuffle makes it the
# picture's own, and there the picture itself is put beside it, 3 channels beside 96:
# nothing has sharper edges. A `res_block` mixes them, with half the channels inside
# (`bottle=True`: 99 → 49 → 99), and a 1 by 1 convolution makes 12 scores of the 99.
# At the very bottom stand the two convolutions of the middle, 512 → 1024 → 512. With
# `norm_type=None` the decoder's convolutions have biases, and no batch norm.
#
# How much comes across? Cut the lowest way, through the middle, by setting its
# weights and biases to zero, and see how much gradient still finds its way from the
# answer back to the picture. What is left came across.


# %%
def gradient_at(x):
    (gradient,) = mt.grad(model(x).sum(), x)
    return (gradient * gradient).sum().sqrt().item()


x = mt.randn(1, 3, 64, 64, requires_grad=True)
whole = gradient_at(x)
middle = [p.data.copy() for p in model[3].parameters()]
for p in model[3].parameters():
    p.data *= 0
cut = gradient_at(x)
print(f"gradient at the picture: {whole:.0f}; with the middle cut: {cut:.0f}")
for p, kept in zip(model[3].parameters(), middle, strict=True):
    p.data[...] = kept

# %% [markdown]
# ### The published table
#
# The lesson printed the summary of its network: 152 layers, 41,133,018 parameters.
# Do we have the same one? In three places the library then did something else
# than it did later, and `lesson_time=True` brings it back: it blurred after every
# doubling whether asked to or not, it let no gradient through the cross
# connections, and it lost attention's γ. The blur adds rows to the table.
#
# In the table the encoder is frozen but for its batch norms, as it is at first
# when it comes with weights from ImageNet.

# %%
published = DynamicUnet(
    create_body(resnet34, pretrained=False),
    n_classes=12,
    norm_type=None,
    bottle=True,
    lesson_time=True,
)
for module in published[0].modules():
    if isinstance(module, nn.Conv2d):
        module.requires_grad_(False)
summary = summarize(published, mt.zeros(1, 3, 360, 480))
print("\n".join(str(summary).splitlines()[-17:]))
print(f"{len(summary.rows)} rows")

# %% [markdown]
# (The first number of each shape is how many pictures are in the batch, 8 in the
# lesson and 1 here, which is faster. `tests/test_unet.py` compares all 152 rows with
# the published ones at 8.)
#
# ## Training
#
# The lesson starts from a ResNet-34 whose weights have seen ImageNet. On a GPU, so
# do we. Two cores are better served by a ResNet-18 that starts from nothing: 31
# million parameters, pictures with a fourteenth of the pixels, and half an hour.

# %%
pretrained = on_gpu and lesson.weights_for(resnet34)
mt.manual_seed(options.seed)
learn = unet_learner(
    data,
    resnet34 if on_gpu else resnet18,
    pretrained=pretrained,
    metrics=[acc_camvid, iou_camvid],
    wd=1e-2,
    bottle=True,
    path=options.out,
)
print(f"{sum(p.numel() for p in learn.model.parameters()):,} parameters,", end=" ")
print(f"{len(learn.layer_groups)} layer groups (the body in two, the decoder)")

# %% [markdown]
# The loss is the cross entropy of every pixel, averaged over all of them, as if a
# batch were 8 · 96 · 128 small classifications. Who knows nothing of 12 classes and
# says so has a loss of ln 12, which is 2.48. A new network starts above that: random
# scores are not equal scores, and a wrong answer given with confidence costs more
# than no answer.

# %%
xb, yb = data.one_batch()
with nn.evaluating(learn.model), mt.no_grad():
    scores = learn.model(xb)
print("a batch:", xb.shape, yb.shape, " scores:", scores.shape)
print(f"loss before training: {data.loss_func(scores, yb).item():.2f}")

# %% [markdown]
# And the learning rate? The finder's curve falls until about 0.002 and is flat after
# it, so 0.002 is as far as one can go.

# %%
learn.lr_find(end_lr=1, num_it=10 if options.quick else 40)
lesson.show(learn.recorder.plot(), options, "4_lr_find")


# %%
def train(name, epochs, max_lr, **cycle):
    """One cycle, kept in a checkpoint: started again, it goes on or is done."""
    epochs = 5 if options.quick else min(epochs, options.epochs or epochs)
    learn.fit_one_cycle(
        epochs,
        max_lr=max_lr,
        checkpoint=None if options.quick else name,  # 372 MB: not for a taste
        checkpoint_every=20,
        restart=options.restart,
        **cycle,
    )
    return learn.recorder.metrics[-1]


# %% [markdown]
# With a pretrained body there are two stages. First only the decoder learns, and
# the batch norms, whose statistics belong to the pictures at hand. The body is
# frozen: large gradients from a decoder that is still nonsense would only spoil
# it. Then everything learns, with a hundredth of the learning rate at the front
# and all of it at the back: `slice(2e-5, 2e-3)`. In most stages the rate rises for
# 0.8 of the batches (`pct_start`). The lesson repeats both with
# smaller rates, and calls it going big, though its pictures had been at their full
# size all along.
#
# From nothing there is nothing to spoil, and one cycle does it.

# %%
if pretrained:
    stages = [
        ("frozen", learn.freeze, 10, slice(2e-3), 0.8, 0.9071),
        ("unfrozen", learn.unfreeze, 12, slice(2e-5, 2e-3), 0.8, 0.9268),
        ("frozen again", learn.freeze, 10, slice(1e-3), 0.8, 0.9394),
        ("unfrozen again", learn.unfreeze, 10, slice(1e-6, 1e-4), 0.3, 0.9406),
    ]
    for name, prepare, epochs, max_lr, pct_start, printed in stages:
        prepare()
        acc, iou = train(name.replace(" ", "_"), epochs, max_lr, pct_start=pct_start)
        lesson.beside_published(options, name, acc, [("the lesson", printed)])
else:
    acc, iou = train("from_nothing", 20, 2e-3)
    name = f"ResNet-{34 if on_gpu else 18} U-Net, from nothing"
    published_one = [("the lesson: pretrained ResNet-34 on CamVid, 360 by 480", 0.9406)]
    lesson.beside_published(options, name, acc, published_one)
print(f"mean intersection over union: {iou:.3f}")
lesson.show(learn.recorder.plot_losses(), options, "5_losses")
lesson.show(learn.recorder.plot_metrics(), options, "6_accuracy")

# %% [markdown]
# ## What it sees
#
# Four streets of the validation set, with the mask that a person drew and the one
# that the network did.

# %%
chosen = np.linspace(0, len(data.valid_ds) - 1, 4).astype(int)
shown = [data.valid_ds[int(i)] for i in chosen]
pictures, truth = (np.stack([np.asarray(one[i]) for one in shown]) for i in (0, 1))
mean, std = (np.asarray(part, np.float32)[:, None, None] for part in data.stats)
with nn.evaluating(learn.model), mt.no_grad():
    scores = learn.model(mt.tensor((pictures - mean) / std))
found = scores.cpu().numpy().argmax(1)
figure = plot.segmentation_grid(pictures, truth[:, 0], found, classes=source.codes)
lesson.show(figure, options, "7_predictions")

# %% [markdown]
# And class by class. What is large is found, and what is thin or rare is not. A
# pole is a pixel or so wide at this size. And the cyclists, of whom there were so few
# to learn from: what were they taken for?

# %%
confusion = segmentation_confusion(learn, void_code=VOID)
ious = iou_per_class(confusion)
print("class          share   intersection over union")
for k in np.argsort(-np.nan_to_num(ious)):
    if k != VOID:
        print(f"    {source.codes[k]:<12} {valid_shares[k]:6.1%}  {ious[k]:.3f}")
cyclists = confusion[source.codes.index("Bicyclist")]
for k in np.argsort(-cyclists)[:4]:
    share = cyclists[k] / max(cyclists.sum(), 1)
    print(f"    of the cyclists' pixels, called {source.codes[k]}: {share:.0%}")
order = [k for k in np.argsort(-valid_shares) if k != VOID and confusion[k].sum()]
names, values = [source.codes[k] for k in order], [float(ious[k]) for k in order]
figure = plot.bar_chart(names, values, xlabel="intersection over union")
lesson.show(figure, options, "8_iou")

# %% [markdown]
# ## What the library does
#
# | here | there |
# |---|---|
# | `DynamicUnet` | `minitorch7/vision/unet.py:73` `DynamicUnet` |
# | one step up | `minitorch7/vision/unet.py:35` `UnetBlock` |
# | where to cross over | `minitorch7/vision/unet.py:209` `crossings_of` |
# | 46 rows to 45 | `minitorch7/vision/unet.py:217` `resized` |
# | the head cut off | `minitorch7/vision/body.py:22` `create_body` |
# | hooks that look | `minitorch7/vision/body.py:85` `outputs_of` |
# | the drawing of the U | `minitorch7/vision/drawing.py:77` `draw_unet` |
# | ResNet-18 and 34 | `minitorch7/vision/resnet.py:49` `ResNet` |
# | doubling | `minitorch7/nn/upsampling.py:16` `PixelShuffle_ICNR` |
# | side by side | `minitorch7/functional/shape.py:184` `Cat` |
# | the loss of every pixel | `minitorch7/nn/flat_losses.py:17` `CrossEntropyFlat` |
# | pictures with masks | `minitorch7/data/segmentation.py:169` `SegmentationItemList` |
# | a mask's checks | `minitorch7/data/segmentation.py:94` `check_mask` |
# | a movement is a matrix | `minitorch7/data/geometry.py:26` `Geometric` |
# | seen from the side | `minitorch7/data/geometry.py:184` `homography` |
# | all in one sampling | `minitorch7/data/resample.py:24` `sample` |
# | the same draws for both | `minitorch7/data/transforms.py:170` `vary_both` |
# | `acc_camvid` | `minitorch7/learner/segmentation.py:33` `acc_camvid` |
# | intersection over union | `minitorch7/learner/segmentation.py:64` `iou_per_class` |
# | a rate for each group | `minitorch7/learner/groups.py:24` `lr_range` |
# | freezing | `minitorch7/learner/groups.py:126` `freeze_to` |
# | PyTorch's weights, safely | `minitorch7/pth.py:70` `read_pth` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/06_unet_camvid.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("6.1", your_answer)
#
# **6.1** Write `crossings(sizes)`: from the grids (h, w) that an encoder's children
# give out, one after another, the numbers of the children that get a cross connection.
# Then draw a U-Net over `vgg16_bn`, or over your own `nn.Sequential` of `conv_layer`s.
# Are its arrows where you expect them?
#
# **6.2** Write `block(up_in_c, x_in_c)`: for a `UnetBlock` without a norm (but the one
# for what comes across) how many channels come out, and how many parameters it has.
#
# **6.3** Write `misfits(h, w)`: a picture of h by w goes down through five halvings, as
# in a ResNet, and up again. At which grids does twice the grid below not fit? Give them
# as a list of (h, w), from the bottom up; the picture itself is a grid, too. For (360,
# 480) the first is (23, 30).
#
# **6.4** Write `mean_iou(counts)`: the mean intersection over union from the confusion
# matrix, an array whose `counts[i, j]` is how many pixels of class i were taken for
# class j. Classes that are nowhere in the masks are left out of the mean.
#
# **6.5** `self_attention=True` lets every place of one grid look at every other: that
# block's grid is an eighth of the picture's each way. Write `attended(h, w)`: how many
# numbers the table of who looks at whom has, for one picture of h by w. What is that in
# bytes at 96 by 128, and what at 360 by 480?
#
# **6.6** Write `rates(start, stop, n)`: the learning rates of n layer groups, front
# first, as a list, for `max_lr=slice(start, stop)`; with `start` = `None` for
# `slice(stop)`. The lesson's two slices, `slice(2e-5, 2e-3)` and `slice(1e-3)`, do not
# do the same.
#
# And without a check, because the answer is a training run:
#
# - Build the U-Net with `last_cross=False`. What happens to the edges in the
#   predictions?
# - Take the cross connections away: in `UnetBlock.forward`, multiply `cross` by 0.
#   Train for four epochs with and without.
# - Weigh the classes: `loss_func=nn.CrossEntropyFlat(axis=1, weight=...)`, and see
#   which intersections grow and which shrink.
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lessons 3 and 7. Ronneberger,
# Fischer, Brox, *U-Net* (arXiv 1505.04597). He, Zhang, Ren, Sun, *Deep residual
# learning for image recognition* (1512.03385). Jégou and others, *The one hundred
# layers tiramisu* (1611.09326). Brostow, Fauqueur, Cipolla, *Semantic object classes
# in video* (2008): the data.
