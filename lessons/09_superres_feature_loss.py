# %% [markdown]
# # 9. A loss that sees fur
#
# In lesson 7 a network enlarged photos, and what it gave back was right on average
# and smooth as plastic. A critic was trained to complain about that, which made edges
# crisper, but two networks that fight are hard to watch and slow. There is a shorter
# way, and at the end of this lesson you can go it: make a loss of a network that knows
# photos, say what each of its seven terms asks for, and train the same network twice,
# once for pixels and once for features.
#
# Somebody has trained a network to recognise a thousand things in photos. It must
# have learned to see fur, for there are dogs among the things. So let it look at our
# answer and at the original, and ask: do you see the same? That is a *feature loss*.
#
# It follows fast.ai's 2019 notebook `lesson7-superres`:
#
#     python lessons/09_superres_feature_loss.py            # 19 minutes on two cores
#     python lessons/09_superres_feature_loss.py --quick    # a taste, in a minute
#     python lessons/09_superres_feature_loss.py --backend cupy   # the full recipe
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
from functools import partial
from time import perf_counter

import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.data import (
    FlipLR,
    ImageImageList,
    ImageList,
    RandomCrop,
    get_transforms,
    imagenet_stats,
)
from minitorch7.data.folders import find_images
from minitorch7.learner import (
    PSNR,
    SSIM,
    Learner,
    LossMetrics,
    accuracy,
    psnr,
    sharpness,
    ssim,
)
from minitorch7.nn import NormType
from minitorch7.vision import (
    FeatureLoss,
    Recipe,
    WeightsNotFound,
    before_after,
    degrade_folder,
    gram_matrix,
    layers_before_pooling,
    resnet18,
    resnet34,
    turn_network,
    turned_photos,
    unet_learner,
    vgg_features,
)

options = lesson.options_of(
    "Lesson 9: super-resolution with a loss that looks at features.",
    "out/09_superres_feature_loss",
)
on_gpu = mt.backend.active() == "cupy" and not options.quick

# %% [markdown]
# ## Small photos and large ones
#
# The photos are made small, saved as JPEGs of quality 60, and nothing is written on
# them: now it is only about what is lost by shrinking. On a GPU we do as the lesson
# does, with small photos of 96 pixels and large ones of 128, then 256. On two cores
# 48 pixels are to become 128, and we learn from cuttings of 96 by 96 of them.

# %%
photos = lesson.photos(options)
small, size, crop, bs = (24, 64, 48, 8) if options.quick else (48, 128, 96, 16)
if on_gpu:
    small, size, crop, bs = 96, 128, None, 32
low = options.out / f"small_{small}"
with lesson.once():
    print(degrade_folder(photos, low, Recipe, size=small, quality=60))
recipe = Recipe(low, photos, small, 60)
made = [recipe.destination(photo) for photo in find_images(photos)]
made = [file for file in made if file.exists()]  # broken photos were left out


# %%
def pairs(size, bs, crop=None):
    """Batches of small photos, enlarged to `size`, and the large ones."""
    cut = ([FlipLR()] if crop is None else [FlipLR(), RandomCrop(crop)], [])
    vary = get_transforms(max_zoom=2.0) if on_gpu else cut
    sets = ImageImageList.from_files(made, low).split_by_rand_pct(0.1, seed=42)
    sets = sets.label_from_func(recipe.original_of)
    sets = sets.transform(vary, size=size, tfm_y=True)
    return sets.databunch(bs=bs, seed=options.seed).normalize(imagenet_stats, do_y=True)


data = pairs(size, bs, crop)
print(data.train_ds)
lesson.show(data.show_batch(rows=3), options, "1_pairs")

# %% [markdown]
# ## Why pixels blur
#
# Here is fur, as simple as it gets: slanted hairs, somewhere. Suppose a network can
# tell from the small photo that there *is* fur, but not where the hairs are. All the
# furs below are equally likely. Which one picture should it answer?

# %%
rng = np.random.default_rng(options.seed)


def fur(side=64, hairs=20):
    """Bright hairs at random places on a dark ground, one grey channel."""
    picture, rows = np.full((side, side), 0.2, np.float32), np.arange(side)
    for start, slant in rng.uniform([0, 0.1], [side, 0.4], (hairs, 2)):
        picture[rows, (start + slant * rows).astype(int) % side] = 0.9
    return picture


furs = np.stack([fur() for _ in range(200)])
answers = {
    "one that could be": fur(),
    "the mean": furs.mean(0),
    "the median": np.median(furs, 0),
}
print(f"{'answer':<20}{'squared error':>15}{'absolute':>10}{'sharpness':>11}")
for name, answer in answers.items():
    off = furs - answer
    squared, absolute = (off**2).mean(), abs(off).mean()
    sharp = sharpness(answer[None, None])[0]
    print(f"{name:<20}{squared:15.4f}{absolute:10.4f}{sharp:11.4f}")
shown = [*furs[:2], *answers.values()]
titles = ["could be", "could be", *answers]
lesson.show(plot.image_grid(shown, titles, rows=1), options, "2_furs")

# %% [markdown]
# A fur that could be has the *largest* error of all three: where it has a hair, the
# true one mostly has none, and the other way round, so it pays twice. The mean of all
# furs has the least squared error, and is a grey veil. The median has the least
# absolute error, and is no fur at all. Nobody made a mistake here. The first
# network of lesson 7 answers exactly what a pixel loss asks for: what is right on
# average.
#
# ## What a trained network sees
#
# So the question must be another one. Not "is every pixel the same" but "do you see
# the same". The lesson asks VGG-16, a network of 2014 that is plain and deep: blocks
# of 3 by 3 convolutions, and a pooling after each that halves the grid. We look at it
# just before the poolings, at what it knows at each size of the grid. The first
# layers know edges, the later ones textures and parts.
#
# Its weights are a file of 528 MB (torchvision's). Let us count what it multiplies, up
# to the last layer that we look at, for one picture.


# %%
def products(m_feat, last, side):
    """Multiplications of the convolutions up to layer `last`, for a square picture."""
    count = 0
    for layer in m_feat[: last + 1]:
        if isinstance(layer, nn.Conv2d):
            count += layer.weight.numel() * side**2
        side //= 2 if isinstance(layer, nn.MaxPool2d) else 1
    return count


side = crop or size
for name, layers in (
    ("VGG-16", vgg_features(pretrained=False)),
    ("a small one", turn_network().features),
):
    chosen = layers_before_pooling(layers)[-3:]
    millions = products(layers, chosen[-1], side) / 1e6
    print(f"{name}: layers {chosen}, {millions:,.0f} million products a picture")

# %% [markdown]
# So the lesson's loss is for a GPU. The small network, for two cores, has VGG's form:
# four blocks of two convolutions, with 16 to 64 channels. But who tells it what fur
# is? We have photos and no labels. Here is a trick (Gidaris and others, 2018): turn
# each photo by 0, 1, 2 or 3 quarters of a circle, at random, and let the network say
# by how much. To tell, it helps to know that ears are above the nose, that fur lies
# downwards and that light comes from above. The labels cost nothing.


# %%
def turning_network():
    """The layers of a small network that has learned to tell turned photos."""
    cut = ([FlipLR()] if crop is None else [FlipLR(), RandomCrop(crop)], [])
    sets = turned_photos(ImageList.from_folder(photos).split_by_rand_pct(0.1, seed=42))
    sets = sets.transform(cut, size=size)
    turns = sets.databunch(bs=bs, seed=options.seed).normalize(imagenet_stats)
    lesson.show(turns.show_batch(rows=3), options, "3_turned")
    mt.manual_seed(options.seed)
    learn = Learner(turns, turn_network(), metrics=accuracy, wd=1e-3, path=options.out)
    train(learn, "turns", 40, 3e-3)
    print(f"told rightly: {learn.recorder.metrics[-1][0]:.2f}, by chance: 0.25")
    return learn.model.features


def train(learn, name, epochs, max_lr, **cycle):
    """One cycle, kept in a checkpoint: started again, it goes on or is done."""
    before = learn.validate()[0]
    learn.fit_one_cycle(
        lesson.epochs_of(options, epochs, taste=4),
        max_lr=max_lr,
        checkpoint=name,
        checkpoint_every=20,
        restart=options.restart,
        **cycle,
    )
    after = learn.recorder.rows[-1]["valid_loss"]
    print(f"{name}: validation loss {before:.4f} before, {after:.4f} after")


m_feat = None
if on_gpu:
    try:
        m_feat = vgg_features(pretrained=True)
    except WeightsNotFound as error:
        print(error)
        print("So the features are those of a small network that we train ourselves.")
by_vgg = m_feat is not None
if not by_vgg:
    m_feat = turning_network()
m_feat.eval().requires_grad_(False)
layer_ids = layers_before_pooling(m_feat)[-3:]

# %% [markdown]
# The small one is no VGG. But it does not have to name dogs: it has to have filters
# for what occurs in photos, and those come early. Below is a photo, and what six
# channels of each of the three layers make of it. The further down, the coarser the
# grid.

# %%
xb, yb = data.one_batch("valid")
photo, maps = data.denorm_y(yb[:1]).cpu().numpy()[0], []
for i in layer_ids:
    found = m_feat[: i + 1](yb[:1]).cpu().numpy()[0]  # (C, H, W)
    found = found[found.std((1, 2)).argsort()[::-1][:6]]  # the liveliest channels
    maps += [photo, *(found / found.max((1, 2), keepdims=True, initial=1e-6))]
titles = [f"layer {layer_ids[k // 7]}" if k % 7 == 1 else "" for k in range(len(maps))]
lesson.show(plot.image_grid(maps, titles, cols=7), options, "4_features")

# %% [markdown]
# ## The same texture, wherever it is
#
# Comparing activations place by place helps, but it still asks for the same hair in
# the same place, if on a coarser grid. A texture has no place. What makes fur fur is
# that the channel "bright line, slanted" and the channel "dark beside it" are active
# *together*. Multiply the two channels, place by place, and add up: a number that
# says how much they go together, and not where. All pairs of channels make a matrix,
# named after Gram. Of two channels of 2 by 2 pixels:

# %%
tiny = mt.tensor([[[[1.0, 2.0], [0.0, 0.0]], [[0.0, 3.0], [1.0, 0.0]]]])  # (1, 2, 2, 2)
rows = tiny.numpy().reshape(2, 4)
by_hand = np.array([[(a * b).sum() for b in rows] for a in rows]) / (2 * 2 * 2)
print("the channels' rows:", *rows.tolist())
print("by hand:      ", by_hand.tolist())
print("gram_matrix:  ", gram_matrix(tiny).numpy()[0].tolist())
moved = mt.tensor(rows[:, [3, 0, 2, 1]].reshape(1, 2, 2, 2))
print("pixels moved: ", gram_matrix(moved).numpy()[0].tolist())

# %% [markdown]
# The division by channels times places is for comparing layers of different sizes.
#
# Back to the furs. For each of the three answers: how far is it from a fur that could
# be, on average over many, in pixels and in the Gram matrices of the middle layer?


# %%
def as_batch(pictures):
    """Grey pictures (N, H, W) in [0, 1] as three normalised channels."""
    mean, std = (np.asarray(part, np.float32)[:, None, None] for part in data.stats)
    return mt.tensor((np.repeat(pictures[:, None], 3, axis=1) - mean) / std)


some = as_batch(furs[:32])
with mt.no_grad():
    truth = gram_matrix(m_feat[: layer_ids[1] + 1](some))
    print(f"{'answer':<20}{'pixels':>10}{'Gram':>12}")  # mean absolute differences
    for name, answer in answers.items():
        x = as_batch(answer[None])
        of_answer = gram_matrix(m_feat[: layer_ids[1] + 1](x))
        in_pixels = (some - x).abs().mean().item()
        in_gram = (truth - of_answer).abs().mean().item()
        print(f"{name:<20}{in_pixels:10.4f}{in_gram:12.6f}")

# %% [markdown]
# Now the fur that could be is the nearest of the three, by far. To Gram matrices, one
# fur is as good as another, and a veil is not fur.
#
# ## Seven terms
#
# The feature loss of Johnson, Alahi and Fei-Fei (2016), in the lesson's form, adds up
#
# $$|x - y| + \sum_i w_i\,|F_i(x) - F_i(y)| + \sum_i 5000\,w_i^2\,|G(F_i(x)) -
# G(F_i(y))|$$
#
# with mean absolute differences, $F_i$ the activations of layer i, G their Gram
# matrix, and three layers: seven terms. The pixels keep the colours right, the
# activations keep things where they are, and the Gram matrices ask for texture.
#
# For VGG the lesson's weights are 5, 15 and 2. They bring the Gram terms near 1: 0.58,
# 1.24 and 1.11 after its first epoch. Another network has activations of another size,
# and ours also knows far less, so we trust it less. We measure with weights of 1, and
# choose those that make each Gram term as large as the pixel term.

# %%
xb, yb = data.one_batch()
weights = [5.0, 15.0, 2.0]
if not by_vgg:
    plain = FeatureLoss(m_feat, layer_ids, [1, 1, 1])
    plain(xb, yb)
    found = {name: term.item() for name, term in plain.metrics.items()}
    weights = [(found["pixel"] / found[f"gram_{i}"]) ** 0.5 for i in range(3)]
feature_loss = FeatureLoss(m_feat, layer_ids, weights)
whole = feature_loss(xb, yb).item()
terms = {name: term.item() for name, term in feature_loss.metrics.items()}
print("weights:", np.round(weights, 3).tolist())
print("the enlarged photo, as it is:")
for name, value in terms.items():
    print(f"    {name:<8}{value:8.4f}")
print(f"    {'sum':<8}{sum(terms.values()):8.4f}   the loss: {whole:.4f}")

# %% [markdown]
# There is no magic in the class. Here are its lines once more, without it:

# %%
by_hand = F.l1_loss(xb, yb)
for i, w in zip(layer_ids, weights, strict=True):
    x, y = (m_feat[: i + 1](t) for t in (xb, yb))
    by_hand = by_hand + w * F.l1_loss(x, y)
    by_hand = by_hand + 5000 * w**2 * F.l1_loss(gram_matrix(x), gram_matrix(y))
print(f"by hand: {by_hand.item():.4f}, differs by {abs(by_hand.item() - whole):.0e}")

# %% [markdown]
# Three things the class takes care of. The network that looks is in evaluation mode
# and frozen: were it to learn, it would learn to see no difference. The gradient goes
# *through* it, to the picture. And for the original nothing is recorded, since it
# cannot be improved.
#
# ## The same network, twice
#
# The U-Net is that of lesson 7 without attention and without a range for its colours.
# It is trained twice from the same weights, on the same batches: for the squared error
# of the pixels, and for the feature loss.
#
# On a GPU, with a ResNet-34 that has seen ImageNet, each training has the lesson's
# four stages, two at 128 pixels and two at 256. On two cores a narrow ResNet-18 must
# first learn to copy colours, and for that any loss will do. So there is one training
# for pixels, after which the ways part, with two stages each: one on cuttings, and a
# shorter one at a smaller rate on whole pictures. Both are judged on whole ones.


# %%
def learner(loss_func, callbacks=()):
    """A new U-Net; the same weights for the same seed."""
    mt.manual_seed(options.seed)
    return unet_learner(
        data,
        resnet34 if on_gpu else partial(resnet18, width=16),
        pretrained=pretrained,
        loss_func=loss_func,
        metrics=[PSNR(data), SSIM(data)],
        callbacks=list(callbacks),
        blur=True,
        norm_type=NormType.Weight,
        wd=1e-3,
        path=options.out,
    )


def train_all(learn, name):
    """The lesson's four stages, or two that go on from the common start."""
    if not pretrained:
        learn.model.load_state_dict(start.model.state_dict())
        train(learn, f"{name}_1", 24, 1e-3)
        learn.data = pairs(size, bs)
        train(learn, f"{name}_2", 8, 3e-4)
        return
    train(learn, f"{name}_1a", 10, slice(1e-2), pct_start=0.9)
    learn.unfreeze()
    train(learn, f"{name}_1b", 10, slice(1e-5, 1e-3), pct_start=0.9)
    learn.data = pairs(256, 12)
    learn.freeze()
    train(learn, f"{name}_2a", 10, slice(1e-3), pct_start=0.9)
    learn.unfreeze()
    train(learn, f"{name}_2b", 10, slice(1e-6, 1e-4))


pretrained = on_gpu and lesson.weights_for(resnet34)
start = learner(nn.MSELossFlat())
print(f"{sum(p.numel() for p in start.model.parameters()):,} parameters")
if not pretrained:
    train(start, "start", 40, 3e-3)

# %% [markdown]
# From here the one goes on for pixels:

# %%
by_pixels = learner(nn.MSELossFlat())
train_all(by_pixels, "pixels")

# %% [markdown]
# and the other for features. `LossMetrics` makes a column of each term, the mean over
# the validation set. Their sum is the column valid_loss.

# %%
by_features = learner(feature_loss, [LossMetrics()])
train_all(by_features, "features")
lesson.show(by_features.recorder.plot_losses(skip_start=20), options, "5_losses")

# %% [markdown]
# What the lesson printed at the end of its stages, with VGG's features and 6,651
# photos. With another network's features, and other sizes, the numbers say nothing
# about each other. With VGG's they should be close.

# %%
published = {
    "stage 1a, 128 px": "0.147 0.217 0.278 0.188 0.437 1.023 0.907   3.197",
    "stage 1b, 128 px": "0.148 0.214 0.273 0.184 0.421 1.000 0.886   3.126",
    "stage 2a, 256 px": "0.171 0.258 0.282 0.145 0.331 0.540 0.347   2.073",
    "stage 2b, 256 px": "0.177 0.257 0.281 0.145 0.329 0.536 0.346   2.070",
}
names = feature_loss.metric_names
last = by_features.recorder.rows[-1]
print(f"{'':<26}" + "".join(f"{name:>8}" for name in [*names, "sum"]))
values = [last[name] for name in [*names, "valid_loss"]]
print(f"{'here':<26}" + "".join(f"{value:8.3f}" for value in values))
for stage, line in published.items():
    print(f"{'lesson, ' + stage:<26}" + "".join(f"{v:>8}" for v in line.split()))

# %% [markdown]
# ## Which is better?
#
# That depends on whom you ask. PSNR is the squared error in decibels, so it is the
# pixel network's own exam. SSIM compares windows. Sharpness does not look at the
# original: it is how steep brightness is, and the closer to the original's, the
# better.


# %%
def all_of(learn):
    """Inputs, originals and answers for the validation set, in [0, 1]."""
    parts = []
    for x, y in learn.data.valid_dl.batches(0):
        made = learn.pred_batch((x, y), reconstruct=True)
        shown = [learn.data.denorm(x), learn.data.denorm_y(y)]
        parts.append([*(np.clip(t.cpu().numpy(), 0, 1) for t in shown), made])
    return [np.concatenate(part) for part in zip(*parts, strict=True)]


inputs, originals, careful = all_of(by_pixels)
furry = all_of(by_features)[2]
pictures = {
    "enlarged": inputs,
    "squared error": careful,
    "feature loss": furry,
    "original": originals,
}
print(f"{'':<16}{'PSNR':>8}{'SSIM':>8}{'sharpness':>11}")
for name, made in pictures.items():
    same = made is originals
    closeness = "" if same else f"{psnr(made, originals).mean():.2f}"
    each = [ssim(m[None], o[None]) for m, o in zip(made, originals, strict=True)]
    alike = "" if same else f"{np.mean(each):.3f}"
    print(f"{name:<16}{closeness:>8}{alike:>8}{sharpness(made).mean():11.4f}")

# %% [markdown]
# And whom should you ask? Look. The first row is the whole photo, the second a part
# of it, enlarged.

# %%
for place in range(min(3, len(originals))):
    four = {name: made[place : place + 1] for name, made in pictures.items()}
    figure = before_after(four, zoom=(0.25, 0.25, 0.4, 0.4))
    lesson.show(figure, options, f"6_photo_{place + 1}")

# %% [markdown]
# On two cores: edges are crisper, and by PSNR it is no better than doing nothing. Fur
# it has not painted. A network that learned from 270 photos to tell how they are turned
# knows edges, not hair. With VGG's features hairs appear, and they are not the
# original's hairs. For a photo on a wall that is what you want. For a number plate, or
# an X-ray, it is a lie: what looks like detail is what is usually there.
#
# ## What it costs
#
# Each batch now goes through the network that looks: the answer, the original, and
# the gradient on its way back. The median of five steps, forward and backward:

# %%
xb, yb = data.one_batch()
for name, learn in (("squared error", by_pixels), ("feature loss", by_features)):
    seconds = []
    for _ in range(5):
        began = perf_counter()
        loss = learn.loss_func(learn.model(xb), yb)
        loss.backward()
        loss.item()  # on a GPU: wait until it is done
        learn.model.zero_grad()
        seconds.append(perf_counter() - began)
    print(f"{name:<16}{np.median(seconds):8.2f} s")

# %% [markdown]
# ## What the library does
#
# | here | there |
# |---|---|
# | `FeatureLoss` | `minitorch7/vision/feature_loss.py:66` `FeatureLoss` |
# | `gram_matrix` | `minitorch7/vision/feature_loss.py:34` `gram_matrix` |
# | its products' gradient | `minitorch7/functional/products.py:23` `MatMul` |
# | the absolute difference | `minitorch7/functional/losses.py:346` `l1_loss` |
# | where to look | `minitorch7/vision/feature_loss.py:53` `layers_before_pooling` |
# | VGG's layers | `minitorch7/vision/feature_loss.py:265` `vgg_features` |
# | VGG-16 | `minitorch7/vision/vgg.py:72` `vgg16_bn` |
# | pooling | `minitorch7/functional/pooling.py:19` `MaxPool2d` |
# | turned photos | `minitorch7/vision/turned.py:86` `turned_photos` |
# | the network that tells | `minitorch7/vision/turned.py:105` `turn_network` |
# | a column for each term | `minitorch7/learner/loss_metrics.py:9` `LossMetrics` |
# | PSNR, the measure | `minitorch7/learner/quality.py:29` `psnr` |
# | SSIM, the measure | `minitorch7/learner/quality.py:42` `ssim` |
# | sharpness | `minitorch7/learner/quality.py:78` `sharpness` |
# | photos made small | `minitorch7/vision/degrade.py:59` `Recipe` |
# | pictures as labels | `minitorch7/data/image_image.py:101` `ImageImageList` |
# | the U-Net | `minitorch7/vision/unet.py:73` `DynamicUnet` |
# | before and after | `minitorch7/vision/progress_pictures.py:279` `before_after` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/09_superres_feature_loss.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("9.1", your_answer)
#
# **9.1** Let every pixel of a fur be a hair (0.9) with chance p, below a half, and
# ground (0.2) otherwise. Write `errors(p)`, a list of four expected errors at a pixel:
# the squared error of the mean of all furs, and of another fur; the absolute error of
# the median, and of another fur. How many times worse is the fur that could be?
#
# **9.2** Write `gram(x)` for arrays (N, C, H, W): the Gram matrix of each picture.
#
# **9.3** What leaves a Gram matrix as it is? Give a list of some of: `"mirror"` and
# `"turn"` (the picture), `"shuffle all"` (the pixels of all channels, alike),
# `"shuffle one"` (those of one channel only), `"negate all"`, `"negate one"`
# (channels), `"swap"` (two channels), `"double"` (all values), `"tile"` (the picture
# twice, side by side).
#
# **9.4** Write `terms(fx, fy, w)`: of one layer with weight w, its activations `fx` for
# the answer and `fy` for the original, arrays (N, C, H, W), the pair of its terms in
# the feature loss: (activations, Gram). Why is the one in w and the other in w²?
#
# **9.5** Write `turn(pictures, turns)`: pictures (n, C, H, H), each turned to the
# *left* by its own number of quarters, from the array `turns`.
#
# And without a check, because the answer is a training run. A training that is done is
# kept, and one with other arguments is refused under its name: choose another `--out`,
# or pass `--restart`.
#
# - Leave a kind of term out: the weights of the Gram matrices are in
#   `feature_loss.gram_wgts`; make that `[0, 0, 0]`. Train. Which of sharpness and PSNR
#   changes more? Then the other way round: only the Gram matrices of the first layer.
# - Take the features of a network that has learned nothing, `turn_network()` as it is
#   made. How much worse is it, or is it? What does that say about convolutions?
# - `base_loss=F.mse_loss` in place of the absolute difference: how do the terms change
#   beside each other, and what must the weights be then?
# - Super-resolution without a network: start from the enlarged photo as a tensor that
#   requires a gradient, and let Adam change its pixels to lower the feature loss
#   towards *another* photo's Gram matrices. That is style transfer.
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7, and its notebook
# lesson7-superres, whose figures are quoted above. Johnson, Alahi, Fei-Fei,
# *Perceptual losses for real-time style transfer and super-resolution* (arXiv
# 1603.08155). Gatys, Ecker, Bethge, *A neural algorithm of artistic style*
# (1508.06576). Simonyan, Zisserman, *Very deep convolutional networks* (1409.1556).
# Gidaris, Singh, Komodakis, *Unsupervised representation learning by predicting image
# rotations* (1803.07728). Wang, Bovik, Sheikh, Simoncelli, *Image quality assessment:
# from error visibility to structural similarity* (2004). Parkhi, Vedaldi, Zisserman,
# Jawahar, *Cats and dogs* (2012): the photos.
