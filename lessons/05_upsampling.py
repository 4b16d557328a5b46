# %% [markdown]
# # 5. Making a picture larger
#
# At the end of this lesson you can make a picture larger inside a network, in each of
# the ways that are in use. Some of them leave a pattern of squares on the picture,
# like a chessboard; you can say where it comes from, measure it, and get rid of it.
#
# Convolutions with stride 2 make a picture smaller: 28 pixels a side become 14,
# then 7. To name a digit that is all you need. To colour every pixel of a street
# with its class (lesson 6), to repair a photograph, or to paint one from nothing,
# the network must come up again, from 7 pixels to 14 to 28. This lesson is about
# that step.
#
#     python lessons/05_upsampling.py            # all of it: about a minute
#     python lessons/05_upsampling.py --quick    # a taste

# %%
import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, plot

options = lesson.options_of(
    "Lesson 5: nearest, bilinear, transposed convolution, pixel shuffle, ICNR.",
    "out/05_upsampling",
)


def host(t):
    """The values, where NumPy and matplotlib can see them."""
    return t.detach().cpu().numpy()


# %% [markdown]
# ## Copying and mixing
#
# What can be done without learning anything? Take two by two pixels.

# %%
tiny = mt.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
print("nearest, twice as large:")
print(host(F.interpolate(tiny, scale_factor=2))[0, 0])

# %% [markdown]
# **Nearest** copies: each pixel becomes a block of four. No new values, and no
# smooth edges either.
#
# **Bilinear** mixes: a new pixel is the weighted mean of the old ones around it,
# the nearer the heavier. But where *is* the new pixel, seen from the old ones? Two
# answers are in use, and they give different pictures.
#
# - A pixel is a small square. Then four squares and eight half-size squares cover
#   the same width, and new pixel i has its middle at (i + ½)·4/8 − ½. That is
#   `align_corners=False`, the default.
# - A pixel is a point. Then the first points coincide, and so do the last, and new
#   point i lies at i·3/7. That is `align_corners=True`.

# %%
line = mt.tensor([[[[1.0, 2.0, 3.0, 4.0]]]])
lines = {}
for corners in (False, True):
    longer = F.interpolate(line, (1, 8), mode="bilinear", align_corners=corners)
    lines[corners] = host(longer)[0, 0, 0]
    print(f"align_corners={corners!s:5}:", np.round(lines[corners], 2))

# %% [markdown]
# With squares, the outermost new pixels lie beyond the middles of the outermost old
# ones. There is nothing to mix with, so they repeat: the ramp has flat ends. With
# points there are no flat ends, but the ramp rises by 3/7 a pixel where "twice as
# large" promised ½: enlarge it in another size, and every pixel has moved.

# %%
places = {False: (np.arange(8) + 0.5) / 2 - 0.5, True: np.arange(8) * 3 / 7}


def draw_places(i, j, ax):
    corners, old, new = bool(j), np.arange(4), places[bool(j)]
    if corners:
        ax.stem(old, old + 1.0, "0.6", markerfmt="s", basefmt=" ", label="old")
        ax.stem(new, lines[True], plot.VERMILLION, basefmt=" ", label="new")
    else:
        ax.bar(old, old + 1, 1, color="0.85", edgecolor="0.6", label="old")
        ax.bar(new, lines[False], 0.5, fill=False, ec=plot.VERMILLION, label="new")
    names = "align_corners=False: squares", "align_corners=True: points"
    ax.set_title(names[j])
    ax.set_xlabel("place in the old picture")
    ax.set_ylabel("value")
    ax.set_xticks(range(4))
    ax.set_xlim(-0.7, 3.7)
    ax.legend(frameon=False, loc="upper left")


lesson.show(plot.plot_multi(draw_places, 1, 2, (10, 3.6)), options, "1_places")

# %% [markdown]
# On a real picture: a digit reduced to 14 by 14 pixels, then made four times as
# large; and what it was before, at 28 by 28.

# %%
sets = lesson.digits(options).split_by_folder(train="training", valid="testing")
sets = sets.label_from_folder()
sharp = mt.tensor(np.stack([sets.valid[i][0] for i in range(64)]))  # (64, 1, 28, 28)
small = F.avg_pool2d(sharp, 2)  # (64, 1, 14, 14)

ways = {
    "nearest": F.interpolate(small, scale_factor=4),
    "bilinear": F.interpolate(small, scale_factor=4, mode="bilinear"),
    "what it was": sharp,
}
figure = plot.image_grid(
    [host(picture)[0] for picture in ways.values()], list(ways), rows=1, cmap="binary"
)
lesson.show(figure, options, "2_copy_and_mix")

# %% [markdown]
# Staircases or fog: neither knows what a digit looks like. A network could know.
# So we want a step with weights in it.
#
# ## The transposed convolution
#
# A convolution with stride 2 reads a window of the large picture for each pixel of
# the small one. Turn that round: for each pixel of the small picture, *write* a
# window into the large one. Each pixel is a stamp. It prints the kernel, multiplied
# by the pixel's value, the next pixel prints two places further on, and where
# prints overlap they add up.


# %%
def stamp(x, kernel, stride):
    """One channel, by the definition."""
    k = len(kernel)
    out = np.zeros(((len(x) - 1) * stride + k, (len(x[0]) - 1) * stride + k))
    for (i, j), value in np.ndenumerate(x):
        rows = slice(i * stride, i * stride + k)
        cols = slice(j * stride, j * stride + k)
        out[rows, cols] += value * kernel
    return out


kernel = mt.tensor(np.arange(1.0, 10).reshape(1, 1, 3, 3).astype(np.float32))
stamped = stamp(host(tiny)[0, 0], host(kernel)[0, 0], 2)
print(stamped)

# %% [markdown]
# There is a second way to get the same numbers, the one in fast.ai's lesson. Put a
# row and a column of zeros between the pixels, two rows and columns of zeros around
# them, and run an ordinary convolution, with stride 1 and the kernel turned half
# round. (A stamp prints its first corner where the window would read its last.)


# %%
def zeros_between(x, stride):
    n, c, h, w = x.shape
    apart = F.pad(x.reshape(n, c, h, 1, w, 1), (0, stride - 1, 0, 0, 0, stride - 1))
    apart = apart.reshape(n, c, h * stride, w * stride)
    return apart[:, :, : (h - 1) * stride + 1, : (w - 1) * stride + 1]


border = kernel.shape[-1] - 1
wide = F.pad(zeros_between(tiny, 2), (border,) * 4)  # (1, 1, 7, 7)
convolved = F.conv2d(wide, kernel.flip(2, 3))

# %% [markdown]
# And a third. An ordinary convolution takes a 5 by 5 picture to 2 by 2. Its
# *gradient* goes the other way, from 2 by 2 to 5 by 5, and spreads each element
# over the window that it came from: the stamp again. So everything that learns with
# convolutions has transposed convolutions inside already.

# %%
large = mt.zeros(1, 1, 5, 5, requires_grad=True)
(backward,) = mt.grad(F.conv2d(large, kernel, stride=2), large, tiny)
layer = F.conv_transpose2d(tiny, kernel, stride=2)
for name, other in (
    ("stamps", stamped),
    ("zeros between", host(convolved)),
    ("gradient", host(backward)),
):
    print(f"{name}: differs by {np.abs(host(layer) - other).max():.1g}")


# %%
def draw_zeros(i, j, ax):
    values = [host(tiny)[0, 0], host(wide)[0, 0], host(layer)[0, 0]][j]
    titles = "2 × 2 pixels", "with zeros between and around", "5 × 5 out"
    ax.imshow(values, cmap="Blues", vmin=0, vmax=1.6 * values.max())
    for (r, c), value in np.ndenumerate(values):
        text = f"{value:.0f}"
        colour = "black" if value else "0.75"
        ax.text(c, r, text, ha="center", va="center", color=colour)
    if j == 1:
        ax.plot([-0.5, 2.5, 2.5, -0.5, -0.5], [-0.5, -0.5, 2.5, 2.5, -0.5], lw=3)
        ax.plot([0.5, 3.5, 3.5, 0.5, 0.5], [1.5, 1.5, 4.5, 4.5, 1.5], lw=3)
    ax.set_title(titles[j])
    ax.axis("off")


lesson.show(plot.plot_multi(draw_zeros, 1, 3, (11, 4)), options, "3_zeros")

# %% [markdown]
# How large is the result? From i pixels, with kernel k, stride s, p pixels of border
# taken *off* and a extra pixels put on: (i − 1)·s + k − 2p + a.

# %%
print(" i  k  s  p  a   out")
for i, k, s, p, a in (
    (2, 3, 2, 0, 0),
    (2, 3, 2, 1, 0),
    (2, 3, 2, 1, 1),
    (2, 3, 1, 0, 0),
    (14, 3, 2, 1, 1),
    (14, 4, 2, 1, 0),
    (14, 2, 2, 0, 0),
    (1, 4, 1, 0, 0),
):
    out = F.conv_transpose2d(mt.ones(1, 1, i, i), mt.ones(1, 1, k, k), None, s, p, a)
    rule = (i - 1) * s + k - 2 * p + a
    print(f"{i:2} {k:2} {s:2} {p:2} {a:2}   {out.shape[-1]} (rule: {rule})")

# %% [markdown]
# Three rows double the side exactly: k = 3 with an extra pixel, k = 4, k = 2. (The
# second row is where the lesson's text slips: one pixel around the pixels with zeros
# between them, that is p = 1, gives 3 by 3, not 4 by 4.)
#
# What can it learn? Among other things the two ways from the beginning. Nearest is
# a 2 by 2 stamp of ones. Bilinear is a 4 by 4 stamp that fades to its edges.

# %%
fade = np.outer([1, 3, 3, 1], [1, 3, 3, 1]).astype(np.float32)[None, None] / 16
copied = F.conv_transpose2d(small, mt.ones(1, 1, 2, 2), stride=2)
mixed = F.conv_transpose2d(small, mt.tensor(fade), stride=2, padding=1)
copied = copied - F.interpolate(small, scale_factor=2)
mixed = mixed - F.interpolate(small, scale_factor=2, mode="bilinear")
inside = host(mixed)[:, :, 1:-1, 1:-1]
print(f"nearest differs by {np.abs(host(copied)).max():.1g}", end="; ")
print(f"bilinear, but for the edge, by {np.abs(inside).max():.1g}")

# %% [markdown]
# ## Where the chessboard comes from
#
# Look at the two frames in the middle picture above. The blue window holds one
# pixel and eight zeros. The orange one, a step further on, holds two. So neighbours
# in the output are made of different numbers of pixels, and the pattern repeats at
# every second place. Count it: stamp ones with ones.

# %%
sizes = 2, 3, 4, 5
counts = {}
for k in sizes:
    ones = mt.ones(1, 1, 7, 7), mt.ones(1, 1, k, k)
    counts[k] = host(F.conv_transpose2d(*ones, stride=2))[0, 0]
    middle = counts[k][6:8, 6:8].astype(int)
    print(f"kernel {k}: a 2 × 2 block in the middle gets {middle.tolist()}")
even = [k for k in sizes if np.ptp(counts[k][4:8, 4:8]) == 0]
lesson.claim("only the kernels that 2 divides spread evenly", even == [2, 4])


def draw_counts(i, j, ax):
    values = counts[sizes[j]][:12, :12]
    ax.imshow(values, cmap="Blues", vmin=0, vmax=12)
    for (r, c), value in np.ndenumerate(values):
        ax.text(c, r, f"{value:.0f}", ha="center", va="center", fontsize=8)
    ax.set_title(f"kernel {sizes[j]}, stride 2")
    ax.axis("off")


lesson.show(plot.plot_multi(draw_counts, 1, 4, (14, 3.8)), options, "4_overlaps")

# %% [markdown]
# With kernel 3 some pixels get one print, some two, some four. With kernel 5 it is
# four, six and nine. A kernel of 2 or 4 spreads evenly: **the kernel must be
# divisible by the stride** (Odena, Dumoulin and Olah 2016).
#
# The same holds on the way back, where nobody asked for a larger picture: the
# gradient of a 3 by 3 convolution with stride 2 is a transposed convolution, so it
# reaches some pixels four times as often as others. If pixels are what you train,
# through a critic or a feature loss, it is this that they see.

# %%
picture = mt.zeros(1, 1, 15, 15, requires_grad=True)
strided = F.conv2d(picture, mt.ones(1, 1, 3, 3), stride=2)
(reached,) = mt.grad(strided.sum(), picture)
same = bool((host(reached)[0, 0] == counts[3]).all())
print("how often the gradient reaches each pixel equals the counts for 3:", same)

# %% [markdown]
# ## Pixel shuffle
#
# Even counts are half of the answer. A pixel of the output never meets all taps of
# a 4 by 4 kernel: with stride 2 it meets those of its own row parity and column
# parity, four of the sixteen. So there are four kernels of 2 by 2, one for each
# place in a 2 by 2 block, and they have nothing to do with one another.
#
# Why not write it like that? Let an ordinary convolution on the *small* picture
# give four channels for every one that we want, and lay out each four as a 2 by 2
# block. No zeros are multiplied, and nothing is larger than it needs to be until
# the very end. That is `pixel_shuffle` (Shi and others 2016).

# %%
four = mt.tensor(np.arange(16.0).reshape(1, 4, 2, 2).astype(np.float32))
print("four channels:", *(channel.tolist() for channel in host(four)[0].astype(int)))
print("shuffled:")
print(host(F.pixel_shuffle(four, 2))[0, 0].astype(int))

# %% [markdown]
# To see that it is the transposed convolution in other clothes, take one with kernel
# 2 and stride 2 and hand its weights over.

# %%
features = mt.randn(1, 8, 7, 7)
weight = mt.randn(8, 3, 2, 2)  # 8 channels in, 3 out
by_stamps = F.conv_transpose2d(features, weight, stride=2)
as_conv = weight.permute(1, 2, 3, 0).reshape(12, 8, 1, 1)  # 12 = 3 · 2 · 2 out
by_shuffle = F.pixel_shuffle(F.conv2d(features, as_conv), 2)
gap = np.abs(host(by_stamps - by_shuffle)).max()
print(f"the two differ by {gap:.1g}")

# %% [markdown]
# Now start the weights at random, as one does. The four channels of a block are
# strangers, so every block is a random pattern of four greys, and *the same* pattern
# everywhere, for the weights are the same everywhere. That is a chessboard too, and
# a strong one.
#
# ### ICNR
#
# The cure is one line (Aitken and others 2017). Draw the kernel for one channel, and
# give it to all four. Then the four begin alike, each block is one colour, and the
# new layer *is* nearest upsampling of a convolution. Training is free to pull the
# four apart, where that helps.

# %%
shuffle_weight = nn.init.icnr_(mt.zeros(8, 4, 1, 1), scale=2)
print(host(shuffle_weight)[:, :, 0, 0].round(2))

# %% [markdown]
# How unlike are the four pixels of a block? Measure their spread, divided by that of
# the whole picture. The layer's weight may be under some norm, so try them all.


# %%
def spread_in_blocks(y):
    """Standard deviation within 2 × 2 blocks, over that of everything."""
    n, c, h, w = y.shape
    blocks = host(y).reshape(n, c, h // 2, 2, w // 2, 2)
    return float(np.sqrt(blocks.var((3, 5)).mean()) / blocks.std())


def random_shuffle(ni, nf, norm=None):
    conv = nn.conv_layer(ni, 4 * nf, ks=1, norm_type=norm, use_activ=False)
    return nn.Sequential(conv, nn.ReLU(), nn.PixelShuffle(2))


print(f"{'norm':20} at random   ICNR")
spreads = []
for norm in (None, *nn.NormType):
    at_random = spread_in_blocks(random_shuffle(8, 8, norm)(features))
    new = nn.PixelShuffle_ICNR(8, norm_type=norm)
    spreads.append(spread_in_blocks(new(features)))
    print(f"{norm!s:20} {at_random:9.3f}   {spreads[-1]:.3f}")
lesson.claim("with ICNR every block has one colour", max(spreads) < 1e-6)

# %% [markdown]
# Zero, to the last digit, under every norm. That is not a matter of course. *Weight
# norm* computes the weight as g·v/‖v‖ before each call; g and v are what is kept and
# trained. It is the default of `PixelShuffle_ICNR` (the U-Net asks for no norm unless
# told). fastai v1 put it on first, and wrote ICNR's values into the *computed* weight
# afterwards. The next call computed it anew, and the pattern that ICNR was there to
# prevent was back, without a word. In that order:

# %%
conv = nn.weight_norm(nn.Conv2d(8, 32, 1))
nn.init.icnr_(conv.weight)
lost = nn.Sequential(conv, nn.ReLU(), nn.PixelShuffle(2))
print(f"norm first, ICNR second: {spread_in_blocks(lost(features)):.3f}")

# %% [markdown]
# `PixelShuffle_ICNR` sets the weight first and puts the norm round it then: v is
# ICNR's kernel, and g its lengths.
#
# ## A look at new layers
#
# Here is the digit from above, sent through one new layer of each kind, one channel
# of it, nothing trained.


# %%
def transposed(ni, nf, k):
    extra = k % 2  # so that the side doubles exactly
    layer = nn.ConvTranspose2d(ni, nf, k, 2, (k - 1) // 2, extra)
    nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(layer, nn.ReLU())


def resized(ni, nf, mode):
    conv = nn.conv_layer(ni, nf, norm_type=None)
    return nn.Sequential(nn.Upsample(scale_factor=2, mode=mode), conv)


WAYS = {
    "transposed 3 × 3": lambda ni, nf: transposed(ni, nf, 3),
    "transposed 4 × 4": lambda ni, nf: transposed(ni, nf, 4),
    "shuffle, random": random_shuffle,
    "shuffle, ICNR": lambda ni, nf: nn.PixelShuffle_ICNR(ni, nf),
    "ICNR and blur": lambda ni, nf: nn.PixelShuffle_ICNR(ni, nf, blur=True),
    "nearest + conv": lambda ni, nf: resized(ni, nf, "nearest"),
    "bilinear + conv": lambda ni, nf: resized(ni, nf, "bilinear"),
}


def best_channel(y):
    """The channel that answers most, scaled to 0..1."""
    channels = host(y)[0]
    chosen = channels[channels.std((1, 2)).argmax()]
    return (chosen - chosen.min()) / (chosen.max() - chosen.min() + 1e-9)


mt.manual_seed(options.seed)
edges = nn.conv_layer(1, 16, norm_type=None)(small[:1])  # (1, 16, 14, 14)
fresh = [best_channel(make(16, 4)(edges)) for make in WAYS.values()]
figure = plot.image_grid(fresh, list(WAYS), rows=2)
lesson.show(figure, options, "5_new_layers")

# %% [markdown]
# The first three paint on squared paper: stripes where rows or columns get uneven
# counts, single dots where four strangers share a block. With ICNR every block is one
# colour. The three after it have edges of their own, and no squares.
#
# ## Blur
#
# ICNR is a beginning. During training the four kernels part, and nothing forbids
# them to make a chessboard. What would forbid it? An average of each 2 by 2
# window, moved one pixel at a time. Whatever repeats every two pixels is in every
# such window exactly once, and so gives the same mean everywhere (Sugawara and
# others 2018). One column on the left and one row on top are repeated first, so that
# the size stays.

# %%
blur = nn.Sequential(nn.ReplicationPad2d((1, 0, 1, 0)), nn.AvgPool2d(2, stride=1))
board = mt.tensor(np.indices((6, 6)).sum(0)[None, None] % 2 * 2.0 - 1)
slope = mt.tensor(np.arange(6.0).repeat(6).reshape(1, 1, 6, 6))
print("a chessboard of ±1, blurred:", host(blur(board))[0, 0, 1:, 1:].ravel()[:10])
print("a slope down the rows, blurred:", host(blur(slope))[0, 0, :, 0])

# %% [markdown]
# The chessboard is gone and the slope is a slope, half a pixel lower. The price is
# some sharpness everywhere else.
#
# ## A race
#
# So much for new layers. What is left of the pattern once a network has learned
# something? Let seven networks learn to double a digit, from 14 by 14 to 28 by 28,
# alike in all but the one step.


# %%
def network(make, nf=16):
    return nn.Sequential(
        nn.conv_layer(1, nf, norm_type=None),
        nn.conv_layer(nf, nf, norm_type=None),
        make(nf, nf),  # twice as large
        nn.Conv2d(nf, 1, 1),
    )


# %% [markdown]
# How to measure a chessboard? It is what repeats every two pixels. Subtract the true
# picture from the answer, lay all 2 by 2 blocks of all digits on one another, and
# take the mean. What digits look like cancels out. Four numbers are left, and what
# they vary by is the pattern; we give it in grey levels, of 255.
#
# Digits are what the network trains on. What does it do to something else? Show it
# a flat grey wall. Away from the edge every window of a wall is the same, so an
# answer that is not flat is nothing but pattern.

# %%
greys = np.array([0.25, 0.5, 0.75], np.float32)
walls = mt.tensor(greys.repeat(400).reshape(3, 1, 20, 20))


def pattern(pictures):
    """The spread of the mean 2 × 2 block, in grey levels."""
    n, c, h, w = pictures.shape
    block = pictures.reshape(n, c, h // 2, 2, w // 2, 2).mean((0, 1, 2, 4))
    return 255 * float(block.std())


def patterns(model):
    """On digits, and on the middle of walls."""
    with mt.no_grad():
        errors, flat = host(model(small) - sharp), host(model(walls))
    middles = flat[:, :, 8:-8, 8:-8]
    return pattern(errors), float(np.mean([pattern(m[None]) for m in middles]))


# %% [markdown]
# The training itself: some seconds for each network.

# %%
n_steps = 40 if options.quick else 240
every = n_steps // 20
n = min(64 * n_steps, len(sets.train))
pictures = np.stack([sets.train[i][0] for i in range(n)])  # (n, 1, 28, 28)


def train(model):
    """Adam on the squared error; the patterns before, and every few steps."""
    opt = optim.Adam(list(model.parameters()), lr=3e-3)
    found = [patterns(model)]
    for step in range(n_steps):
        start = step * 64 % (n - 63)
        target = mt.tensor(pictures[start : start + 64])
        loss = F.mse_loss(model(F.avg_pool2d(target, 2)), target)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if (step + 1) % every == 0:
            found.append(patterns(model))
    return np.array(found)  # (times, 2)


curves, models = {}, {}
for name, make in WAYS.items():
    mt.manual_seed(options.seed)
    models[name] = network(make)
    curves[name] = train(models[name])

# %% [markdown]
# For each network: the pattern before training, the mean of all measurements, and the
# last; then the error on digits that it has not trained on. The last column is what
# the way costs, in multiplications for each pixel of the output and each pair of
# channels. For a transposed convolution with kernel k they are k²/4, since only every
# fourth pixel of the widened picture is not a zero.

# %%
COSTS = 9 / 4, 4, 1, 1, 1, 9, 9


def error(answer):
    """Root mean square, in grey levels."""
    return 255 * float(host(F.mse_loss(answer, sharp))) ** 0.5


head = f"{'first':>6} {'mean':>5} {'last':>5}  "
print(f"{'':17}{'on digits':^20}{'on a wall':^20}")
print(f"{'':17}{head}{head}{'error':>5} {'cost':>6}")
for (name, model), cost in zip(models.items(), COSTS, strict=True):
    digits, wall = curves[name].T
    row = f"{name:17}"
    for found in (digits, wall):
        row += f"{found[0]:6.1f} {found.mean():5.1f} {found[-1]:5.1f}  "
    with mt.no_grad():
        print(f"{row}{error(model(small)):5.1f} {cost:6.2f}")
alone = F.interpolate(small, scale_factor=2, mode="bilinear")
print(f"{'bilinear alone':17}{'':40}{error(alone):5.1f}")

last = {name: found[-1, 1] for name, found in curves.items()}  # on the wall
clean = [name for name in last if last[name] < 0.05]
lesson.claim(
    "on a wall only blur and resizing end without a pattern",
    clean == ["ICNR and blur", "nearest + conv", "bilinear + conv"],
)
at_first = {name: found[0, 0] for name, found in curves.items()}  # on digits
lesson.claim(
    "on digits the random shuffle starts with the strongest pattern, ICNR with none",
    max(at_first, key=at_first.get) == "shuffle, random"
    and at_first["shuffle, ICNR"] < 0.2 * at_first["shuffle, random"],
)


# %%
def draw_curves(i, j, ax):
    colours = (*plot.PALETTE, plot.GREY)
    for (name, found), colour in zip(curves.items(), colours, strict=True):
        at = np.arange(len(found)) * every
        ax.plot(at, found[:, j], color=colour, label=name, linewidth=2)
    ax.set_title(("on digits", "on a grey wall")[j])
    ax.set_xlabel("batches of 64 digits")
    ax.set_ylabel("pattern (grey levels)")
    ax.grid(True, color="0.9")
    if not j:
        ax.legend(frameon=False)


lesson.show(plot.plot_multi(draw_curves, 1, 2, (13, 5)), options, "6_patterns")


# %%
def on_the_wall(model):
    """The middle of the answer to a wall, around its mean, made 5 times stronger."""
    with mt.no_grad():
        answer = host(model(walls))[1, 0, 8:-8, 8:-8]
    return np.clip(0.5 + 5 * (answer - answer.mean()), 0, 1)


with mt.no_grad():
    drawn = [host(model(small[:1]))[0, 0] for model in models.values()]
drawn += [on_the_wall(model) for model in models.values()]
titles = [name.replace(", ", ",\n").replace(" + ", "\n+ ") for name in models]
figure = plot.image_grid(drawn, titles + [""] * len(models), rows=2)
lesson.show(figure, options, "7_race")

# %% [markdown]
# Read the left half of the curves first. On digits, the ways that start at random
# start with a chessboard, and the first batches are spent on taking it away.
# With ICNR there is none to take away, and in the end all are nearly clean: the loss
# compares pixel by pixel, sees the pattern, and punishes it.
#
# Then the right half. No digit is a flat grey wall, so nothing punishes a pattern
# there, and both transposed convolutions and both plain shuffles have one. **ICNR
# does not save its layer from that**: its four kernels start alike, and part as soon
# as they learn. What stays at zero for as long as you train are the ways that
# *cannot* make a pattern on a wall: resizing by a fixed rule, and blur at the end.
#
# The last picture shows it. In its upper row all digits look alike. Below are the
# walls, around their mean and five times stronger.
#
# ## Which one, then?
#
# | way | pattern | price, in multiplications |
# |---|---|---|
# | transposed, s not dividing k | uneven counts, to be unlearned | k²/s²: avoid it |
# | transposed, s dividing k | random at first | k²/s² |
# | pixel shuffle, random | random at first, the strongest | 1: the cheapest |
# | pixel shuffle, ICNR | none at first | 1 |
# | ICNR and blur | none on flat areas, ever | 1, and some sharpness |
# | resize, then 3 × 3 | none on flat areas, ever | 9, at the large size |
#
# fastai's U-Net takes pixel shuffle with ICNR, and so will lesson 6; `blur=True` is
# an option there. Where the loss looks at pixels, that is enough, as the left half
# of the curves says. Where the loss is a critic or a feature network (lessons 7 to
# 9), nobody compares pixel by pixel, the gradient itself comes with uneven counts,
# and blur earns its price.
#
# ## What the library does
#
# | here | there |
# |---|---|
# | `F.interpolate` | `minitorch7/functional/resampling.py:108` `interpolate` |
# | nearest | `minitorch7/functional/resampling.py:56` `Nearest` |
# | its gradient | `minitorch7/functional/resampling.py:69` `NearestGrad` |
# | bilinear | `minitorch7/functional/resampling.py:82` `Bilinear` |
# | its gradient | `minitorch7/functional/resampling.py:95` `BilinearGrad` |
# | the weights of the mix | `minitorch7/kernels/resampling.py:64` `weights` |
# | transposed | `minitorch7/functional/convolution.py:189` `conv_transpose2d` |
# | a gradient itself | `minitorch7/functional/convolution.py:57` `Conv2dInputGrad` |
# | adding prints up | `minitorch7/kernels/convolution.py:115` `conv2d_input_grad` |
# | `F.pixel_shuffle` | `minitorch7/functional/resampling.py:16` `pixel_shuffle` |
# | its moves, forth and back | `minitorch7/functional/shape.py:41` `Permute` |
# | `nn.init.icnr_` | `minitorch7/nn/init.py:119` `icnr_` |
# | `nn.PixelShuffle_ICNR` | `minitorch7/nn/upsampling.py:16` `PixelShuffle_ICNR` |
# | `nn.weight_norm` | `minitorch7/nn/reparametrise.py:23` `weight_norm` |
# | g·v/‖v‖, before each call | `minitorch7/nn/reparametrise.py:108` `WeightNorm` |
# | the blur's mean | `minitorch7/functional/pooling.py:61` `SumPool2d` |
#
# ## Try it
#
# Write your answer in a cell below, or in `python -i lessons/05_upsampling.py --quick`,
# and ask whether it is right:
#
#     from exercises import check
#     check("5.1", your_answer)
#
# **5.1** Write `prints(k, s)`, k at least s: along one row, how many prints of k taps,
# s places apart, each of the s places of a block gets, away from the edges. For k = 3
# and s = 2 that is `[2, 1]`. When are they all equal?
#
# **5.2** Make a row of ones four times as large with *two* steps of 3 taps of one,
# stride 2. The first step's counts are 2, 1, 2, 1, … Predict the four numbers that
# repeat after the second, as a list. How uneven is that on a picture, both ways?
#
# **5.3** Write `bilinear_stamp(s)`: the square stamp (an array) with which
# `F.conv_transpose2d` of stride s makes a picture s times as large as bilinear does,
# but for the edge. For s = 2 the lesson has it. For s = 3 there is one of 5 by 5; and
# why not of 6 by 6?
#
# **5.4** Nearest, then `blur`: is that the same as bilinear? It is a stamp, too. Give
# the smallest, as an array: with stride 2 and no padding it must do, away from the
# edge, what copying each pixel to 2 by 2 and then the mean of each 2 by 2 window do.
# Its side cannot be divided by the stride. Why is there no chessboard all the same?
#
# **5.5** Write `icnr(kernel, s)`: from kernels (nf, ni, k, k), an array, the weight
# (nf·s², ni, k, k) of a convolution before a pixel shuffle, so that each block of s by
# s is of one colour.
#
# **5.6** Give ICNR to a transposed convolution with kernel 4 and stride 2 and without
# padding. Which of its sixteen taps must be equal? (Sort them by the block that they
# write to.) Write `icnr_stamp(kernel)`: from kernels (ni, nf, 2, 2) the weight (ni, nf,
# 4, 4), so that the layer is nearest upsampling of what `F.conv_transpose2d(x, kernel)`
# gives. With `padding=1` the blocks begin elsewhere: what is left of the freedom then?
#
# And without a check, because the answer is a training run:
#
# - Add a term to the loss that punishes a pattern on walls. Which way up is then the
#   best for its price?
# - Put one more 3 by 3 convolution after each way. Does it take the pattern away? What
#   could it do at best, and what does training make of it?
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7. Dumoulin, Visin, *A
# guide to convolution arithmetic* (arXiv 1603.07285). Odena, Dumoulin, Olah,
# *Deconvolution and checkerboard artifacts* (Distill 2016). Shi and others,
# *Real-time single image and video super-resolution* (1609.05158). Aitken and others,
# *Checkerboard artifact free sub-pixel convolution* (1707.02937). Sugawara, Shiota,
# Kiya, *Super-resolution using convolutional neural networks without any
# checkerboard artifacts* (1806.02658). Salimans, Kingma, *Weight normalization*
# (1602.07868).
