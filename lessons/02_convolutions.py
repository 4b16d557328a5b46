# %% [markdown]
# # 2. Convolutions
#
# A network that looks at pictures is made of convolutions. Each puts a small window
# on the picture, multiplies what it sees with a few weights, adds up, and moves on.
# There is hardly more to it, and yet the numbers that belong to it are guessed more
# often than known: stride, padding, dilation, how large the result is, what the
# gradient of all this may be, and why a library does it a thousand times faster than
# you.
#
# At the end you can tell the size of a result before you see it, write a convolution
# as one product of two matrices, derive its gradients from that, say what each step
# from seven loops to a fast kernel is worth on *your* machine, and tell which pixels
# of the picture a number deep in a network depends on.
#
#     python lessons/02_convolutions.py            # all of it: under a minute
#     python lessons/02_convolutions.py --quick    # a taste

# %%
import time

import numpy as np
from matplotlib import colormaps
from matplotlib.patches import Rectangle

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot

options = lesson.options_of(
    "Lesson 2: convolution arithmetic, im2col, gradients, speed, receptive fields.",
    "out/02_convolutions",
)
rng = np.random.default_rng(options.seed)


def host(t):
    """The values, where NumPy and matplotlib can see them."""
    return t.detach().cpu().numpy()


# %% [markdown]
# ## One window
#
# What does a convolution compute? Take a picture x and a *kernel* w of k by k
# weights. Put the kernel on the picture, its first corner on the pixel (i, j).
# Multiply each weight with the pixel under it, add up, and write down the sum at
# place (i, j) of the result. Then move on by one pixel.
#
# Pictures have channels, and there is not one kernel but one for each channel of the
# result, and each of these is k by k weights for *every* channel of the picture. A
# whole batch of pictures is done at once. In one line, with n for the picture, o for
# the channel of the result and c for that of the picture:
#
# $$y_{n,o,i,j} = \sum_{c,u,v} w_{o,c,u,v} \; x_{n,c,i+u,j+v}$$
#
# Seven letters, seven loops.


# %%
def seven_loops(x, w):
    """x (N, C, H, W), w (O, C, k, k) → y (N, O, H − k + 1, W − k + 1)"""
    N, C, H, W = x.shape
    outs, _, k, _ = w.shape
    y = np.zeros((N, outs, H - k + 1, W - k + 1), x.dtype)
    for n in range(N):
        for o in range(outs):
            for i in range(H - k + 1):
                for j in range(W - k + 1):
                    total = 0.0
                    for c in range(C):
                        for u in range(k):
                            for v in range(k):
                                total += w[o, c, u, v] * x[n, c, i + u, j + v]
                    y[n, o, i, j] = total
    return y


# %% [markdown]
# (In mathematics a convolution has x at i − u, j − v: the kernel is turned by half a
# turn. What networks compute, and what is written above, is called a
# *cross-correlation* there. Weights that are learned do not mind which way up they
# are, so the field dropped the turn and kept the name. The turned kernel comes back
# further down, where nobody asked for it.)
#
# What is it good for? Here are eighteen weights, chosen by hand (Sobel's). The first
# nine subtract what is left of the middle from what is right of it, the others what
# is above from what is below. On even paper, and on even ink, both give 0. Where
# paper turns to ink they do not.

# %%
sets = lesson.digits(options).split_by_folder(train="training", valid="testing")
sets = sets.label_from_folder()
four = int(np.flatnonzero(np.asarray(sets.valid.y.codes) == 4)[0])
digit = sets.valid[four][0][None]  # (1, 1, 28, 28), ink is 1

sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], np.float32)
edges = np.stack([sobel, sobel.T])[:, None]  # (2, 1, 3, 3)
found = seven_loops(digit, edges)
by_library = host(F.conv2d(mt.tensor(digit), mt.tensor(edges)))
print("result:", found.shape, f"differs by {np.abs(found - by_library).max():.1g}")
flat = np.full((1, 1, 5, 5), 0.7, np.float32)
print(f"on an even grey: at most {np.abs(seven_loops(flat, edges)).max():.1g}")

# %% [markdown]
# A digit, what the two kernels find in it, and the length of the two together,
# √(across² + down²). Blue is where ink begins, red where it ends.


# %%
def draw_edges(i, j, ax):
    across, down = found[0]
    if j == 0:
        ax.imshow(digit[0, 0], cmap="binary")
    elif j < 3:
        ax.imshow((across, down)[j - 1], cmap="RdBu", vmin=-4, vmax=4)
    else:
        ax.imshow(np.hypot(across, down), cmap="binary")
    names = "28 × 28", "across: 26 × 26", "down: 26 × 26", "both"
    ax.set_title(names[j])
    ax.axis("off")


lesson.show(plot.plot_multi(draw_edges, 1, 4, (11, 3.1)), options, "1_edges")

# %% [markdown]
# A trained network's first layer is full of such kernels, and nobody chose them.
# Its second layer has windows on *their* results: corners, ends, loops.
#
# ## How large is the result?
#
# 28 pixels became 26: a window of 3 has 28 − 3 + 1 places. To see what stride,
# padding and dilation do to that, let us watch the windows. I will not draw them
# from memory. The library has to find out what each window reads in order to
# convolve at all, and `F.unfold` gives it away: every window as one column. So take
# a picture whose pixels hold their own numbers, 0, 1, 2 and so on, row by row. Then
# the columns say which pixels were read.


# %%
def windows_of(size, kernel, stride=1, padding=0, dilation=1):
    """The numbers of the pixels that each window reads: (kernel², places).

    Those of the padding are counted, too, or we could not draw them.
    """
    width = size + 2 * padding
    numbers = np.arange(width**2, dtype=np.float64).reshape(1, 1, width, width)
    columns = F.unfold(mt.tensor(numbers), kernel, dilation, 0, stride)
    return host(columns)[0].astype(int)


print("a window of 3 on 5 × 5 pixels; the columns of its nine places:")
print(windows_of(5, 3))

# %% [markdown]
# Look at the first column: the window's first place reads the pixels 0, 1, 2, then
# 5, 6, 7, and 10, 11, 12. Now all of them, one after the other, as a film, with
# numbers in the pixels and a real convolution in the result.

# %%
small = rng.integers(0, 4, (5, 5)).astype(np.float64)
kernel = np.array([[0, 1, 2], [2, 2, 0], [0, 1, 2]], np.float64)
films = {}


def film(name, title, size, kernel_size, numbers=None, padding=0, **how):
    """Draw what the windows read, frame by frame."""
    reads = windows_of(size, kernel_size, padding=padding, **how)
    out = int(np.sqrt(reads.shape[1]))
    result = None
    if numbers is not None:
        tensors = mt.tensor(numbers[None, None]), mt.tensor(kernel[None, None])
        result = host(F.conv2d(*tensors, padding=padding, **how))[0, 0]
    films[name] = plot.draw_windows(
        reads, (size, size), (out, out), padding, numbers, result, title=title
    )
    path = plot.save_gif(films[name], options.out / f"{name}.gif", fps=5)

    # with the library's own padding: 0 outside, and pixels counted from 1
    picture = np.arange(1.0, size**2 + 1).reshape(size, size)
    own = F.unfold(mt.tensor(picture[None, None]), kernel_size, padding=padding, **how)
    own, framed = host(own)[0], np.pad(picture, padding).ravel()
    unread = len(np.setdiff1d(picture, own))
    print(f"film: {path}: {size} → {out}, {unread} pixels never read", end="; ")
    print("with the library's padding the same:", (own == framed[reads]).all())


film("plain", "kernel 3", 5, 3, small)
film("padding", "kernel 3, padding 1", 5, 3, small, padding=1)
film("stride", "kernel 3, stride 2", 8, 3, stride=2)
film("dilation", "kernel 3, dilation 2", 7, 3, dilation=2)

# %% [markdown]
# (The films are GIFs in the output folder; open them in a browser.)
#
# - **Padding** p puts p rows and columns of zeros on each side. With k = 3 and p = 1
#   the result is as large as the picture. The zeros cost something: a window at the
#   edge sees an edge of its own making.
# - **Stride** s moves on by s pixels at a time. The result is about s times smaller.
#   If the last step does not fit, the window does not take it: on 8 pixels a window
#   of 3 with stride 2 has three places, and the last row and column are never read.
#   (White at the end of the film.) What is in them can have no effect on anything.
# - **Dilation** d reads every d-th pixel. The window covers d(k − 1) + 1 pixels, with
#   as many weights as before.
#
# So, along one axis: the padded picture has n + 2p pixels, the window covers
# d(k − 1) + 1 of them, and what is left is room to move, in steps of s:
#
# $$o = \left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1$$
#
# Since division rounds down, several sizes give the same o. The next table has them:
# each row is from a real convolution, and `unread` is counted from the columns.

# %%
print(" n  k  s  p  d   out  rule   pixels unread, of n")
for n, k, s, p, d in (
    (28, 3, 1, 0, 1),
    (28, 3, 1, 1, 1),  # the size stays
    (28, 3, 2, 1, 1),  # lesson 3: half
    (7, 3, 2, 1, 1),  # half, rounded up
    (8, 3, 2, 0, 1),
    (7, 3, 2, 0, 1),
    (28, 5, 1, 2, 1),
    (28, 3, 1, 2, 2),  # dilated, the size stays
    (28, 4, 2, 1, 1),
    (28, 2, 2, 0, 1),
    (29, 1, 2, 0, 1),  # stride wider than the kernel
    (224, 7, 2, 3, 1),  # a ResNet's first layer
):
    out = F.conv2d(mt.zeros(1, 1, n, n), mt.zeros(1, 1, k, k), None, s, p, d).shape[-1]
    rule = (n + 2 * p - d * (k - 1) - 1) // s + 1
    row = F.unfold(mt.arange(1.0, n + 1).reshape(1, 1, 1, n), (1, k), d, (0, p), (1, s))
    unread = n - len(np.setdiff1d(host(row), [0]))
    print(f"{n:3} {k:2} {s:2} {p:2} {d:2}   {out:3}   {rule:3}   {unread}")

# %% [markdown]
# Twelve rows prove little. Let us try every combination of small numbers.


# %%
def try_all():
    """(how many combinations were tried, at how many the rule was wrong)"""
    tried = wrong = 0
    for n in range(1, 8 if options.quick else 13):
        for k, s, p, d in np.ndindex(5, 3, 3, 2):
            k, s, d = k + 1, s + 1, d + 1
            rule = (n + 2 * p - d * (k - 1) - 1) // s + 1
            try:
                taken = mt.zeros(1, 1, n, n), mt.zeros(1, 1, k, k)
                out = F.conv2d(*taken, None, s, p, d).shape[-1]
            except ValueError:  # the window is larger than the padded picture
                out = 0
            tried, wrong = tried + 1, wrong + (out != max(rule, 0))
    return tried, wrong


tried, wrong = try_all()
print(f"{tried} convolutions of every kind; the rule is wrong for {wrong}")

# %% [markdown]
# ### And back: the transposed convolution
#
# Run the film backwards. The small picture is the source, and each of its pixels
# *writes* a window into the large one: its value times the kernel. Where windows
# overlap, what they write adds up. The windows are the same as before; `F.fold` puts
# columns back where `F.unfold` took them from.

# %%
source = rng.integers(1, 4, (3, 3)).astype(np.float64)
columns = kernel.reshape(-1, 1) * source.reshape(1, -1)  # (9 taps, 9 places)
so_far = [
    host(F.fold(mt.tensor(columns * (np.arange(9) <= i)), 7, 3, stride=2))[0]
    for i in range(9)
]
films["transposed"] = plot.draw_windows(
    windows_of(7, 3, stride=2),
    (7, 7),
    (3, 3),
    picture=so_far,
    result=source,
    writes=True,
    title="transposed: kernel 3, stride 2",
)
path = plot.save_gif(films["transposed"], options.out / "transposed.gif", fps=4)
layer = F.conv_transpose2d(
    mt.tensor(source[None, None]), mt.tensor(kernel[None, None]), stride=2
)
gap = np.abs(host(layer)[0, 0] - so_far[-1]).max()
print(f"film: {path}: 3 → 7; the layer differs from the last frame by {gap:.1g}")

# %%
chosen = [(name, i) for name in films for i in (0, len(films[name]) // 2, -1)]
widest = np.max([films[name][0].shape for name in films], axis=0)
stills = np.ones((len(chosen), *widest))  # white
for still, (name, i) in zip(stills, chosen, strict=True):
    height, width, _ = films[name][i].shape
    still[:height, :width] = films[name][i] / 255
stills = stills.transpose(0, 3, 1, 2)  # (15, 3, height, width)
figure = plot.image_grid(stills, cols=3, figsize=(12, 13.5))
lesson.show(figure, options, "2_windows")

# %% [markdown]
# Solve the rule for n and you have the size of this one: n = (o − 1)·s − 2p +
# d(k − 1) + 1, and because the rule rounded down, up to s − 1 further pixels may be
# wanted. They are asked for by name, `output_padding`. Padding p means here that p
# rows and columns are *cut off*.


# %%
def there_and_back():
    """(how many transposed convolutions, sizes off the rule, ways back that miss)"""
    tried = wrong = missed = 0
    for o in range(1, 5 if options.quick else 8):
        for k, s, p, d, a in np.ndindex(4, 3, 2, 2, 3):
            k, s, d = k + 1, s + 1, d + 1
            rule = (o - 1) * s - 2 * p + d * (k - 1) + a + 1
            if a >= s or rule < 1:
                continue
            taken = mt.zeros(1, 1, o, o), mt.zeros(1, 1, k, k)
            large = F.conv_transpose2d(*taken, None, s, p, a, 1, d)
            back = F.conv2d(large, taken[1], None, s, p, d)
            tried, wrong = tried + 1, wrong + (large.shape[-1] != rule)
            missed += back.shape[-1] != o
    return tried, wrong, missed


tried, wrong, missed = there_and_back()
print(f"{tried} transposed ones; the rule is wrong for {wrong}", end=", ")
print(f"and a convolution brings back another size for {missed}")

# %% [markdown]
# Look at the last frames once more: some pixels were written once, some twice, some
# four times. Where that leads, what kernels avoid it, and what else makes pictures
# larger, is lesson 5.
#
# ## One product of two matrices
#
# Each result is a sum of products: weights times a column. All results of one channel
# are one *row* of weights times all columns, and all channels are a matrix of such
# rows. So a convolution is
#
# $$Y = W \cdot \mathrm{col}(x), \qquad (O,\; oh \cdot ow) =
# (O,\; C k k) \cdot (C k k,\; oh \cdot ow)$$
#
# `col`, called **im2col**, is what `F.unfold` does. Here is a tiny one: 4 by 4 pixels,
# a window of 3, four places.

# %%
tiny = np.arange(16.0).reshape(4, 4)
tiny_columns = windows_of(4, 3)  # the pixels hold their numbers: reads are the columns
weights = kernel.reshape(1, 9)
product = weights @ tiny_columns
direct = F.conv2d(mt.tensor(tiny[None, None]), mt.tensor(kernel[None, None]))
print("product:", product[0], " reshaped:", product.reshape(2, 2).tolist())
print(f"differs from the layer by {np.abs(host(direct)[0, 0].ravel() - product).max()}")


# %%
def draw_cells(ax, values, left, top, name, colours=None):
    """A matrix as squares with numbers in them."""
    for (r, c), value in np.ndenumerate(values):
        fill = "white" if colours is None else colours[int(value)]
        place = left + c, top + r
        ax.add_patch(Rectangle(place, 1, 1, facecolor=fill, edgecolor="0.35"))
        middle = left + c + 0.5, top + r + 0.5
        ax.text(*middle, f"{value:.0f}", ha="center", va="center", fontsize=9)
    middle = left + values.shape[1] / 2
    ax.text(middle, top - 0.4, name, ha="center", va="bottom", fontsize=10)


often = np.bincount(tiny_columns.ravel())  # how many columns have each pixel
colours, pale = ["0.88"] * 16, iter(colormaps["Set3"].colors)
strong = iter((plot.SKY, plot.ORANGE, "#3FC39B", plot.PURPLE))
for pixel in range(16):
    if often[pixel] > 1:
        colours[pixel] = (*next(pale), 0.5) if often[pixel] == 2 else next(strong)


def draw_columns(i, j, ax):
    draw_cells(ax, tiny, 0, 2.5, "the picture", colours)
    draw_cells(ax, weights, 5.5, 4, "the kernel, as a row")
    ax.text(15, 4.5, "·", ha="center", va="center", fontsize=22)
    draw_cells(ax, tiny_columns, 15.5, 0, "its windows, as columns", colours)
    ax.text(20.25, 4.5, "=", ha="center", va="center", fontsize=16)
    draw_cells(ax, product, 21, 4, "results")
    ax.text(25.75, 4.5, "→", ha="center", va="center", fontsize=16)
    draw_cells(ax, product.reshape(2, 2), 26.5, 3.5, "laid out")
    ax.set_xlim(-0.3, 29)
    ax.set_ylim(9.2, -1.4)
    ax.set_aspect("equal")
    ax.axis("off")


figure = plot.plot_multi(draw_columns, 1, 1, (12, 4.5))
lesson.show(figure, options, "3_columns")

# %% [markdown]
# One colour is one pixel. The corners, grey, are in one column each; the pale ones are
# in two; and each of the four in the middle is in all four columns, every time in
# another row. That is the price: on a large picture the columns hold every pixel
# about k² times.

# %%
print("how many columns have each pixel:", often.reshape(4, 4).tolist())
picture = mt.zeros(1, 16, 14, 14)
times = F.unfold(picture, 3, padding=1).numel() / picture.numel()
print(f"16 × 14 × 14 pixels, kernel 3, padding 1: columns are {times:.0f} times larger")

# %% [markdown]
# And what do you buy for it? A product of two matrices is what computers are best
# at. More people have worked on making it fast than on anything else in numerical
# computing. We will see below what that is worth.
#
# ### The same as one large matrix
#
# A convolution is linear, so there is also *one* matrix A that takes the whole
# picture, as a long column of pixels, to the whole result: y = A·x. We get its
# columns by convolving the pictures that have a single pixel of ink.


# %%
def matrix_of(size, weights, **how):
    """A with conv(x) = A·x, for pictures of size × size: (places, size²)"""
    one_pixel_each = np.eye(size**2).reshape(size**2, 1, size, size)
    answers = F.conv2d(mt.tensor(one_pixel_each), mt.tensor(weights[None, None]), **how)
    return host(answers).reshape(size**2, -1).T


taps = np.arange(1.0, 10).reshape(3, 3)  # a kernel that shows which tap is where
same_size = matrix_of(5, taps, padding=1)
strided = matrix_of(7, taps, stride=2)
print("same size:", same_size.shape, " stride 2:", strided.shape)
small_taps = (
    small.ravel(),
    F.conv2d(mt.tensor(small[None, None]), mt.tensor(taps[None, None]), padding=1),
)
gap = np.abs(same_size @ small_taps[0] - host(small_taps[1]).ravel()).max()
print(f"A·x differs from the layer by {gap:.1g}")
first = matrix_of(28, taps, padding=1, stride=2)
share = (first != 0).mean()
print(f"28 × 28, stride 2: A is {first.shape}, {100 * share:.2f} % of it is not 0")


# %%
def draw_matrix(i, j, ax):
    matrix = (same_size, strided, strided.T)[j]
    titles = (
        "padding 1: 25 results of 25 pixels",
        "stride 2: 9 results of 49 pixels",
        "its transpose",
    )
    shown = np.ones((*matrix.shape, 3))
    for tap in range(1, 10):
        shown[matrix == tap] = colormaps["tab10"].colors[tap - 1]
    ax.imshow(shown, interpolation="nearest")
    step = 5 if j == 0 else 7
    for place in np.arange(step, max(matrix.shape), step) - 0.5:
        line = {"color": "0.85", "lw": 0.8}
        if j < 2:
            ax.axvline(place, **line)
        if j != 1:
            ax.axhline(place, **line)
    ax.set_title(titles[j], fontsize=10)
    ax.set_xticks([])
    ax.set_yticks([])


figure = plot.plot_multi(draw_matrix, 1, 3, (12, 6.6))
figure.axes[0].get_gridspec().set_width_ratios((25, 49, 12))
lesson.show(figure, options, "4_matrix")

# %% [markdown]
# Each colour is one of the nine weights. Every row has the same nine, moved on by a
# pixel (by two with stride 2), and cut off where they would stick out over the edge.
# Almost everything else is zero: that is what makes a convolution so much smaller
# than a layer that joins everything with everything. Two things were decided for the
# network: far pixels do not matter yet, and what is good at one place is good at all.
#
# Nobody computes with A; it is for thinking. Its transpose, for instance, takes
# 9 numbers to 49: that is the transposed convolution, hence the name. A matrix and
# its transpose are bound by ⟨Ax, y⟩ = ⟨x, Aᵀy⟩, whatever x and y are. It is the
# shortest test there is for a pair of functions that claim to be transposes.

# %%
w = mt.tensor(rng.normal(size=(4, 3, 3, 3)))  # 3 channels in, 4 out
x, y = (
    mt.tensor(rng.normal(size=(2, 3, 7, 7))),
    mt.tensor(rng.normal(size=(2, 4, 3, 3))),
)
one_side = (F.conv2d(x, w, stride=2) * y).sum().item()
other_side = (x * F.conv_transpose2d(y, w, stride=2)).sum().item()
print(f"⟨Ax, y⟩ = {one_side:.6f}, ⟨x, Aᵀy⟩ = {other_side:.6f}", end=", ")
print(f"differs by {abs(one_side - other_side):.1g}")

# %% [markdown]
# ## The gradient is two more products
#
# If y = A·x, the gradient of anything with respect to x is Aᵀ times its gradient
# with respect to y (lesson 1). So the transposed convolution *is* the gradient. With
# columns, where Y = W·col(x):
#
# $$dW = dY \cdot \mathrm{col}(x)^{\mathsf T}, \qquad
# dx = \mathrm{col2im}(W^{\mathsf T} \cdot dY)$$
#
# `col2im`, which is `F.fold`, adds each column back to where it was read. A pixel
# that nine windows read gets nine terms.


# %%
def gradients(x, w, dy, stride, padding):
    """x (N, C, H, W), w (O, C, k, k), dy (N, O, oh, ow) → dx, dw"""
    outs, C, k, _ = w.shape
    col = F.unfold(x, k, padding=padding, stride=stride)  # (N, C·k·k, oh·ow)
    rows = dy.reshape(len(dy), outs, -1)  # (N, O, oh·ow)
    dw = (rows @ col.transpose(1, 2)).sum(0).reshape(*w.shape)
    dcol = w.reshape(outs, -1).transpose(0, 1) @ rows  # (N, C·k·k, oh·ow)
    return F.fold(dcol, x.shape[2:], k, padding=padding, stride=stride), dw


def gaps(stride, padding):
    """How far ours are from the library's gradients, and those from differences."""
    x = mt.tensor(rng.normal(size=(2, 3, 7, 6)), requires_grad=True)
    w = mt.tensor(rng.normal(size=(4, 3, 3, 3)), requires_grad=True)
    y = F.conv2d(x, w, None, stride, padding)
    dy = mt.tensor(rng.normal(size=y.shape))
    theirs = mt.grad(y, (x, w), dy)
    ours = gradients(x, w, dy, stride, padding)
    found = [np.abs(host(a) - host(b)).max() for a, b in zip(theirs, ours, strict=True)]
    for t, grad in zip((x, w), theirs, strict=True):
        step = mt.tensor(1e-5 * rng.normal(size=t.shape))
        sides = (
            [(t + step, t - step), (w, w)] if t is x else [(x, x), (t + step, t - step)]
        )
        up, down = (
            (F.conv2d(*pair, None, stride, padding) * dy).sum().item()
            for pair in zip(*sides, strict=True)
        )
        along = (grad * step).sum().item()
        found.append(abs((up - down) / 2 - along) / abs(along))
    return found


print("stride, padding:   dx, dw: ours − library's    library's − differences")
for stride, padding in ((1, 0), (1, 1), (2, 1), (3, 2)):
    row = gaps(stride, padding)
    print(f"{stride:6} {padding:8}   ", *(f"{gap:12.1g}" for gap in row))

# %% [markdown]
# ### At stride 1 the gradient is a convolution
#
# Which results did a pixel go into? Those of the windows around it: result i read it
# through tap u = (pixel) − i + p. So the pixel's gradient is a sum over *its* window
# of results, and tap 0 belongs to the last of them, tap 2 to the first. That is a
# convolution of dy with the kernel turned by half a turn, its input and output
# channels exchanged, and with padding k − 1 − p. Here is the turn that the name was
# missing.
#
# It has a use. The columns of dy are then all that we need: dx is the turned
# weights times them, and dw is x times them, turned. One im2col for both gradients,
# and no adding back.


# %%
def gradients_from_one(x, w, dy, padding):
    """Both gradients at stride 1, from the columns of dy."""
    outs, C, k, _ = w.shape
    col = F.unfold(dy, k, padding=k - 1 - padding)  # (N, O·k·k, H·W)
    turned = w.flip(2, 3).permute(1, 0, 2, 3)  # (C, O, k, k)
    dx = (turned.reshape(C, -1) @ col).reshape(*x.shape)
    pixels = x.reshape(len(x), C, -1)  # (N, C, H·W)
    dw = (pixels @ col.transpose(1, 2)).sum(0).reshape(C, outs, k, k)
    return dx, dw.flip(2, 3).permute(1, 0, 2, 3)


x, w = (
    mt.tensor(rng.normal(size=(2, 3, 7, 6))),
    mt.tensor(rng.normal(size=(4, 3, 3, 3))),
)
dy = mt.tensor(rng.normal(size=(2, 4, 7, 6)))
pairs = zip(gradients_from_one(x, w, dy, 1), gradients(x, w, dy, 1, 1), strict=True)
print(
    "from one set of columns:", *(f"{np.abs(host(a - b)).max():.1g}" for a, b in pairs)
)

# %% [markdown]
# ## What each step is worth
#
# Now the speed. We convolve a batch of 64 feature maps, 16 channels of 14 by 14
# pixels to 16 channels, kernel 3, padding 1: one layer of a small ResNet. First the
# seven loops. They take one picture after another, so we time them on two, and count
# 32 times as much.
#
# Python takes its time for each of seven loops' steps, so the first thing to do is
# to have fewer steps. **Four loops**: over the weights only. For one weight, all
# places and all pictures are one multiplication of arrays.


# %%
N, C, OUT, SIDE, K = 64, 16, 16, 14, 3
x = rng.normal(size=(N, C, SIDE, SIDE)).astype(np.float32)
w = rng.normal(size=(OUT, C, K, K)).astype(np.float32)


def padded(x):
    return np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))


def four_loops(x, w):
    wide, y = padded(x), np.zeros((N, OUT, SIDE, SIDE), np.float32)
    for o, c, u, v in np.ndindex(OUT, C, K, K):
        y[:, o] += w[o, c, u, v] * wide[:, c, u : u + SIDE, v : v + SIDE]
    return y


# %% [markdown]
# **Nine slices.** All channels can go at once. For one tap, the weights are a matrix
# (O, C), the pixels under it are a matrix (C, places), and so we have nine products.


# %%
def nine_slices(x, w):
    wide, y = padded(x), np.zeros((N, OUT, SIDE * SIDE), np.float32)
    for u, v in np.ndindex(K, K):
        under = wide[:, :, u : u + SIDE, v : v + SIDE]
        y += w[:, :, u, v] @ under.reshape(N, C, -1)
    return y.reshape(N, OUT, SIDE, SIDE)


# %% [markdown]
# **im2col**, one product instead of nine. How do you copy windows to columns without
# a loop? One way is to compute the row and the column of every element, and to index
# with these. The other copies nothing at first: a *view* of the same memory with six
# axes, of which two move along the window, by nothing but strides. The copy is then
# one `reshape`.


# %%
def im2col_by_index(x, w):
    u, v, i, j = np.ogrid[:K, :K, :SIDE, :SIDE]
    col = padded(x)[:, :, u + i, v + j]  # (N, C, K, K, SIDE, SIDE)
    y = w.reshape(OUT, -1) @ col.reshape(N, C * K * K, -1)
    return y.reshape(N, OUT, SIDE, SIDE)


def im2col_by_view(x, w):
    view = np.lib.stride_tricks.sliding_window_view(padded(x), (K, K), (2, 3))
    col = view.transpose(0, 1, 4, 5, 2, 3)  # (N, C, K, K, SIDE, SIDE)
    y = w.reshape(OUT, -1) @ col.reshape(N, C * K * K, -1)
    return y.reshape(N, OUT, SIDE, SIDE)


# %% [markdown]
# **Batch last.** So far there is a product for each picture, and what is copied are
# rows of 14 numbers. Let the memory have the picture's number last, (C, H, W, N).
# Then neighbours in memory are the same pixel of all pictures: a row of 14 pixels is
# a run of 14 · 64 numbers, the whole batch is one product, and its result lies just
# as the next layer wants it. (The shape stays (N, C, H, W) in all of this library.
# What changes is the order in memory.)


# %%
def batch_last(x, w):
    wide = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))  # x is (C, H, W, N)
    col = np.empty((C, K, K, SIDE, SIDE, N), np.float32)
    for u, v in np.ndindex(K, K):
        col[:, u, v] = wide[:, u : u + SIDE, v : v + SIDE]
    y = w.reshape(OUT, -1) @ col.reshape(C * K * K, -1)
    return y.reshape(OUT, SIDE, SIDE, N)


# %% [markdown]
# **The library's** kernel does three things more. It copies each pixel three times
# instead of nine: windows one row apart share two of their three rows, so it lays out
# a row once and lets the product read it three times. It does so for a few rows of
# the result at a time, so that the columns are still in the processor's cache when
# the product wants them; they never exist as a whole. And it cuts the products to
# the sizes at which the matrix library is at its best.
#
# Before any of them is timed, all must give the same.

# %%
x_last = np.ascontiguousarray(x.transpose(1, 2, 3, 0))
as_tensor = mt.tensor(x_last.transpose(3, 0, 1, 2), backend="numpy")
w_tensor = mt.tensor(w, backend="numpy")


def library(x, w):
    with mt.no_grad():
        return F.conv2d(x, w, padding=1).data


FORMS = {
    "four loops over arrays": (four_loops, x, w),
    "im2col by index": (im2col_by_index, x, w),
    "nine slices": (nine_slices, x, w),
    "im2col by view": (im2col_by_view, x, w),
    "batch last": (batch_last, x_last, w),
    "the library": (library, as_tensor, w_tensor),
}
before = mt.get_num_threads()
mt.set_num_threads(1)  # the forms above use one, too
wanted = library(as_tensor, w_tensor)
start = time.perf_counter()
by_loops = seven_loops(padded(x[:2]), w)
loops_ms = 1000 * (time.perf_counter() - start) * N / 2
answers = {"seven loops": by_loops}
for name, (form, *arrays) in FORMS.items():
    y = form(*arrays)
    answers[name] = y.transpose(3, 0, 1, 2) if form is batch_last else y
for name, y in answers.items():
    print(f"{name:24} differs by {np.abs(y - wanted[: len(y)]).max():.1g}")

# %% [markdown]
# Timing has its own traps. The first call is slow (memory comes from the system, page
# by page), so each form gets two that do not count. Other programs take their turns,
# so we take the median. And they come and go, so the forms are timed in turns, not
# one after the other.


# %%
def medians(forms, rounds):
    """Milliseconds of each, in turns."""
    found = {name: [] for name in forms}
    for turn in range(rounds + 2):
        for name, (form, *arrays) in forms.items():
            start = time.perf_counter()
            form(*arrays)
            if turn > 1:
                found[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(times)) for name, times in found.items()}


side = 512 if options.quick else 1024
square = rng.normal(size=(side, side)).astype(np.float32)
all_columns = rng.normal(size=(C * K * K, SIDE * SIDE * N)).astype(np.float32)
PRODUCTS = {
    "this shape": (np.matmul, w.reshape(OUT, -1), all_columns),
    "large": (np.matmul, square, square),
}
rounds = 9 if options.quick else 25
ms = {"seven loops": loops_ms} | medians(FORMS, rounds)
rate_ms = medians(PRODUCTS, rounds)
if before > 1:
    mt.set_num_threads(before)
    name = f"the library, {before} threads"
    ms[name] = medians({name: (library, as_tensor, w_tensor)}, rounds)[name]
mt.set_num_threads(before)

# %% [markdown]
# A convolution makes O·oh·ow·C·k² products for each picture, each with an addition:
# two operations. Divide by the time, and you have a *rate* to compare with the best
# that this machine does: a product of two large square matrices.

# %%
operations = 2 * N * OUT * SIDE**2 * C * K**2
print(f"{operations / 2:,.0f} products")
print(f"{'':24}{'ms':>11} {'times faster':>13} {'in all':>9} {'GFLOP/s':>9}")
last = loops_ms
for name, found in ms.items():
    print(f"{name:24}{found:11.3f} {last / found:13.1f}", end=" ")
    print(f"{loops_ms / found:9.0f} {operations / found / 1e6:9.3f}")
    last = found
rates = {
    "this shape": operations / rate_ms["this shape"] / 1e6,
    "large": 2 * side**3 / rate_ms["large"] / 1e6,
}
print(f"the product alone, (16, 144) · (144, 12544): {rates['this shape']:.1f} GFLOP/s")
print(f"a product of {side} × {side}: {rates['large']:.1f} GFLOP/s, on one thread")


# %%
def draw_times(i, j, ax):
    names, found = list(ms), list(ms.values())
    bars = ax.barh(range(len(ms)), found, color=plot.BLUE, height=0.62)
    ax.set_xscale("log")
    ax.set_yticks(range(len(ms)), names)
    ax.invert_yaxis()
    labels = [f"{t:,.0f} ms" if t > 100 else f"{t:.3g} ms" for t in found]
    ax.bar_label(bars, labels, padding=4, fontsize=9)
    ax.set_xlim(min(found) / 4, max(found) * 8)
    best = operations / rates["large"] / 1e6
    ax.axvline(best, color=plot.VERMILLION, lw=2)
    ax.text(best, -0.75, "at the rate of a large product", color=plot.VERMILLION)
    ax.set_xlabel("ms for 64 pictures (log scale)")
    ax.spines[["top", "right"]].set_visible(False)


lesson.show(plot.plot_multi(draw_times, 1, 1, (9, 4.2)), options, "5_speed")

# %% [markdown]
# Does each step pay? That depends on the machine, and here is yours:

# %%
single = [name for name in ms if "threads" not in name]
for earlier, later in zip(single, single[1:], strict=False):
    verdict = "faster" if ms[later] < ms[earlier] else "NOT faster here"
    print(f"{later} after {earlier}: {verdict}")
fastest = min(single, key=ms.get)
print("fastest on one thread:", fastest)

# %% [markdown]
# Three things to take from it. The first step is the largest, by far: out of Python's
# loops. But arrays alone are not fast either. Four loops over arrays read and write
# the whole result for every single weight, and so they wait for memory; matrix
# products do the same sums with each number that they fetch used many times. And a
# product is only as good as the road to it: indexing computes an address for every
# element, and that can cost more than the product it is for.
#
# After that the steps are small, and every one is about memory, not about arithmetic.
# The number of multiplications was the same all along. Compare the library's rate with
# that of the product alone, for which the columns lay ready. It can be the higher one:
# columns that are used while they are in the cache need not be fetched from further
# away.
#
# ## Fewer multiplications
#
# How do networks make do with less work? First, they shrink the picture. With stride
# 2 a layer computes a quarter of the results. The older way was to compute them all,
# and then let **pooling** keep the largest, or the mean, of each 2 by 2.

# %%
features = mt.randn(2, 8, 14, 14)
weight = mt.randn(16, 8, 3, 3)
full = F.conv2d(features, weight, padding=1)
strided = F.conv2d(features, weight, stride=2, padding=1)
pooled = F.max_pool2d(full, 2)
gap = np.abs(host(full)[:, :, ::2, ::2] - host(strided)).max()
print("stride 2:", strided.shape[2:], " stride 1 and pooling:", pooled.shape[2:])
print(f"stride 2 is stride 1 with every second result kept: differs by {gap:.1g}")
quarter = mt.full((8, 1, 2, 2), 0.25)
as_conv = F.conv2d(features, quarter, stride=2, groups=8)
gap = np.abs(host(as_conv - F.avg_pool2d(features, 2))).max()
print(f"a mean of 2 × 2 is a convolution with weights of 1/4: differs by {gap:.1g}")

# %% [markdown]
# So stride 2 throws three of four results away, but before they cost anything. The
# lesson's networks all do that; `MaxPool2d` is left in older bodies like VGG, and
# once at the beginning of a ResNet.
#
# Second, **1 by 1 kernels**. A window of one pixel sees no neighbours. It mixes the
# channels of each pixel, by the same matrix everywhere, at a ninth of the price. It
# needs no columns either: the picture's own memory is the matrix.

# %%
mix = mt.randn(16, 8, 1, 1)
by_matrix = mix.reshape(16, 8) @ features.reshape(2, 8, -1)  # (2, 16, 196)
gap = np.abs(host(F.conv2d(features, mix).reshape(2, 16, -1) - by_matrix)).max()
print(f"1 × 1 is a matrix product over channels: differs by {gap:.1g}")

# %% [markdown]
# Third, **groups**. Let half of the results look at half of the channels only, and
# the other half at the others: half the weights, half the products. It is the full
# convolution with weights that are zero outside of blocks. With as many groups as
# channels, each channel is on its own: **depthwise**. Then a 1 by 1 convolution is
# wanted to mix them.

# %%
halves = mt.randn(16, 4, 3, 3)  # 16 results, each sees 4 of the 8 channels
blocks = np.zeros((16, 8, 3, 3), np.float32)
blocks[:8, :4], blocks[8:, 4:] = host(halves)[:8], host(halves)[8:]
grouped = F.conv2d(features, halves, padding=1, groups=2)
gap = np.abs(host(grouped - F.conv2d(features, mt.tensor(blocks), padding=1))).max()
print(f"two groups are the full one with zeros outside of blocks: differs by {gap:.1g}")

# %% [markdown]
# What is saved? For 64 channels to 64, 14 by 14 pixels, batches of 32. Parameters are
# counted from the layers, without biases. Each weight is used once for each place of
# the result, so products are 196 times the parameters here.


# %%
def conv(ni, nf, ks=3, groups=1):
    padding = tuple(k // 2 for k in ks) if isinstance(ks, tuple) else ks // 2
    return nn.Conv2d(ni, nf, ks, padding=padding, groups=groups, bias=False)


KINDS = {
    "5 × 5": [conv(64, 64, 5)],
    "3 × 3": [conv(64, 64)],
    "3 × 3 twice": [conv(64, 64), conv(64, 64)],
    "3 × 1, then 1 × 3": [conv(64, 64, (3, 1)), conv(64, 64, (1, 3))],
    "3 × 3, 4 groups": [conv(64, 64, groups=4)],
    "depthwise + 1 × 1": [conv(64, 64, groups=64), conv(64, 64, 1)],
    "1 × 1": [conv(64, 64, 1)],
}
batch = mt.randn(32, 64, 14, 14)


def through(layers):
    with mt.no_grad():
        y = batch
        for layer in layers:
            y = layer(y)
    return float(host(y)[0, 0, 0, 0])  # on a GPU: wait until it is there


kinds_ms = medians({k: (through, v) for k, v in KINDS.items()}, rounds)
counts = {
    k: sum(p.numel() for m in v for p in m.parameters()) for k, v in KINDS.items()
}
print(f"{'':20}{'parameters':>11} {'products':>12}    of 3 × 3   its time")
for name, count in counts.items():
    part, spent = count / counts["3 × 3"], kinds_ms[name] / kinds_ms["3 × 3"]
    print(f"{name:20}{count:11,} {count * 196:12,} {part:11.3f} {spent:10.2f}")

# %% [markdown]
# Two 3 by 3 see as far as one 5 by 5, for 18/25 of the price, and with a ReLU between
# them. That is the argument by which VGG took nothing but 3 by 3, and most after it.
#
# The last two columns need not agree. Products that are saved are not time that is
# saved: a depthwise layer does nine products for each number that it fetches, where
# the full one does 576, so it waits for memory. And on a processor 64 groups are 64
# small matrices where there was one large.
#
# ## What does a result see?
#
# One number deep in a network depends on some of the picture's pixels and not on the
# others. The former are its **receptive field**. One layer of kernel 3 sees 3 pixels
# a side. What of five layers with stride 2, those of the network in lesson 3?
#
# Go through the layers from the first. Let r be how many pixels a result sees along
# one axis, and j ("jump") how many pixels apart neighbours are. In the beginning both
# are 1. A layer with kernel k sees k of the results before it, which are j apart, so
# r grows by (k − 1)·j; then j is multiplied by the stride. And the first pixel that
# result 0 sees moves to the left by p·j.


# %%
def fields(layers):
    """For each layer (k, s, p): pixels seen a side, jump, first pixel of result 0."""
    r, j, start, found = 1, 1, 0, []
    for k, s, p in layers:
        start -= p * j
        r += (k - 1) * j
        j *= s
        found.append((r, j, start))
    return found


# %% [markdown]
# True? The gradient knows. A pixel that a result depends on has a gradient that is
# not zero, and all others have exactly zero. So ask for the gradient of one result in
# the middle, after one layer, after two, up to five. (Convolutions only: a ReLU that
# is off would hide pixels, and a batch norm in training would let every result see
# the whole batch.)

# %%
layers = [(3, 2, 1)] * 5
channels = 1, 8, 16, 32, 16, 10
net = [
    nn.Conv2d(ni, nf, k, stride=s, padding=p)
    for ni, nf, (k, s, p) in zip(channels, channels[1:], layers, strict=False)
]


def gradient_of_one(modules, place):
    """The gradient of the result at (place, place), all channels: (28, 28)"""
    picture = mt.tensor(digit, requires_grad=True)
    y = picture
    for module in modules:
        y = module(y)
    (grad,) = mt.grad(y[:, :, place, place].sum(), picture)
    return host(grad)[0, 0]


def seen_by(field, place, size=28):
    """The pixels from … up to … that the rule names, as far as there are any."""
    r, j, start = field
    first = start + place * j
    return max(first, 0), min(first + r, size)


print("layer   size  sees  jump   middle   rule: rows    gradient: rows")
masks, boxes = [], []
for depth, field in enumerate(fields(layers), 1):
    size = -(-28 // 2**depth)
    place = size // 2
    mask = gradient_of_one(net[:depth], place) != 0
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    first, end = seen_by(field, place)
    ends = first, end - 1
    same = (rows[0], rows[-1]) == ends == (columns[0], columns[-1])
    whole = mask.sum() == len(rows) * len(columns)
    middle = field[2] + place * field[1] + field[0] // 2
    print(f"{depth:5} {size:6} {field[0]:5} {field[1]:5} {middle:8}", end="   ")
    print(f"{ends[0]:3} to {ends[1]:2}      {rows[0]:3} to {rows[-1]:2}", end="   ")
    print("agree" if same and whole else "DIFFER")
    masks.append(mask)
    boxes.append((first, end))

# %% [markdown]
# After four layers a result would see 31 pixels a side, more than there are; after
# five the one place that is left sees 63, everything. Good: the ten scores should
# depend on the whole digit. On larger pictures the same network would be blind to
# anything wider than 63 pixels.
#
# Does it see all pixels *equally*? Set every weight to 1 and to one channel. Then the
# gradient counts the paths from a pixel to the result.

# %%
ones = [nn.Conv2d(1, 1, k, stride=s, padding=p, bias=False) for k, s, p in layers]
for module in ones:
    module.weight.data[...] = 1
paths = [gradient_of_one(ones[:d], -(-28 // 2**d) // 2) for d in range(1, 6)]
print("paths to the result, at most:", [int(p.max()) for p in paths])


def draw_fields(i, j, ax):
    first, end = boxes[j]
    if i == 0:
        ax.imshow(digit[0, 0], cmap="binary", vmax=1.6)
        shade = np.ma.masked_where(~masks[j], masks[j])
        ax.imshow(shade, cmap="autumn", alpha=0.3)
        ax.set_title(
            f"after {j + 1} layer{'s' * (j > 0)}: {end - first} × {end - first}"
        )
    else:
        ax.imshow(paths[j], cmap="Blues", vmin=0)
    corner, side = (first - 0.5, first - 0.5), end - first
    frame = {"fill": False, "lw": 2, "edgecolor": plot.VERMILLION, "clip_on": False}
    ax.add_patch(Rectangle(corner, side, side, **frame))
    ax.set_xticks([])
    ax.set_yticks([])


lesson.show(plot.plot_multi(draw_fields, 2, 5, (13, 5.6)), options, "6_fields")

# %% [markdown]
# Above, the pixels with a gradient, and the rule's frame. Below, how many paths lead
# from each: the darker, the more. With kernel 3 and stride 2 every second row and
# column is in two windows and the others in one, so there is a lattice: the uneven
# count of lesson 5 again. A trained network has weights that differ, but the paths
# are the same: the middle of the field counts for more than its edge (Luo and others
# 2016).
#
# And where is the middle? The table has it. On 28 pixels a window of 3 with stride 2
# and padding 1 is centred on the pixels 0, 2, … 26: the padding on the left is read,
# that on the right is not. So result i of the first layer is centred on pixel 2i, and
# result i of the fifth on pixel 32i. The only one there is,
# result 0, looks at the whole digit, but from its *upper left corner*; that is where
# the paths are. The weights can make up for it, and the network of lesson 3 reads its
# digits. But a picture that is padded evenly is not therefore seen evenly.
#
# ## What the library does
#
# | here | there |
# |---|---|
# | `F.conv2d` | `minitorch7/functional/convolution.py:135` `conv2d` |
# | its transpose | `minitorch7/functional/convolution.py:189` `conv_transpose2d` |
# | A | `minitorch7/functional/convolution.py:30` `Conv2d` |
# | Aᵀ: dx | `minitorch7/functional/convolution.py:57` `Conv2dInputGrad` |
# | dw | `minitorch7/functional/convolution.py:82` `Conv2dWeightGrad` |
# | `F.unfold` | `minitorch7/functional/convolution.py:361` `unfold` |
# | `F.fold` | `minitorch7/functional/convolution.py:375` `fold` |
# | the size of the result | `minitorch7/kernels/windows.py:29` `output_size` |
# | im2col | `minitorch7/kernels/windows.py:97` `im2col` |
# | col2im | `minitorch7/kernels/windows.py:141` `col2im` |
# | one product, plainly | `minitorch7/kernels/textbook.py:17` `conv2d` |
# | batch last | `minitorch7/kernels/windows.py:45` `batch_last` |
# | rows laid out once, in blocks | `minitorch7/kernels/columns.py:144` `SharedRows` |
# | products cut to size | `minitorch7/kernels/products.py:32` `product` |
# | dx, dw from one im2col | `minitorch7/kernels/convolution.py:205` `conv2d_grads` |
# | windows, frame by frame | `minitorch7/plot/convolution.py:22` `draw_windows` |
# | the films | `minitorch7/plot/film.py:20` `save_gif` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/02_convolutions.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("2.1", your_answer)
#
# **2.1** Write `unread(n, k, s, p)`: how many of n pixels in a row are read by no
# window, for kernel k, stride s and padding p? Mind strides wider than the kernel.
#
# **2.2** A 3 by 3 kernel, with padding 1, that moves every picture one pixel to the
# right, and lets zeros in on the left. Nine numbers. Which weight is the 1?
#
# **2.3** Write `matrix(w, n)`: the matrix A, of shape ((n − k + 1)², n²), of the
# convolution with kernel w (k, k) on pictures of n by n pixels, no padding and stride
# 1; an array, from nothing but NumPy.
#
# **2.4** Two convolutions in a row, with nothing between them and no padding, are one.
# Write `both(first, second)`: the kernel of that one, from two kernels of k by k. (How
# large is it? And which way round does one of the two slide over the other?)
#
# **2.5** Sobel's kernel is a column (1, 2, 1) times a row (−1, 0, 1), so that three
# and three products do for nine. Write `split(w)`: given a kernel that is a column
# times a row, return the two, as arrays (k, 1) and (1, k), so that convolving with
# one after the other gives the same. What tells you that a kernel cannot be split?
#
# **2.6** Write `field(layers)`: how many pixels along one axis one result sees, for a
# list of layers (k, s, d), now with a dilation d each.
#
# And without a check, because the answer is a training run:
#
# - In lesson 3, put a convolution with stride 1 and `nn.MaxPool2d(2)` in place of each
#   stride 2. What does an epoch cost, and what is it worth?
# - Make the middle layers of that network depthwise and 1 by 1. How many parameters
#   are left, and how many digits does it still read?
# - Train it with the first layer held at Sobel's kernels and their negatives. What is
#   lost against weights that are learned?
#
# ## Sources
#
# Dumoulin, Visin, *A guide to convolution arithmetic for deep learning* (arXiv
# 1603.07285): the formulas, and the films that everybody knows. Chellapilla, Puri,
# Simard, *High performance convolutional neural networks for document processing*
# (IWFHR 2006): convolution as a matrix product. Chollet, *Xception: deep learning
# with depthwise separable convolutions* (1610.02357). Simonyan, Zisserman, *Very deep
# convolutional networks* (1409.1556): two 3 by 3 for one 5 by 5. Luo, Li, Urtasun,
# Zemel, *Understanding the effective receptive field* (1701.04128). Araujo, Norris,
# Sim, *Computing receptive fields of convolutional neural networks* (Distill 2019).
