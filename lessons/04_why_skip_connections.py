# %% [markdown]
# # 4. Why skip connections
#
# At the end of this lesson you can show on your own machine that 56 layers learn
# their *training* pictures worse than 20 do, and that one plus sign for every two
# layers cures it. You can follow the gradient through all 56 before any training,
# draw the loss around a trained network, and say in numbers what the drawing shows.
#
# Lesson 3 met the sum in passing: its network was a dozen layers deep and would have
# learned without it. Here it decides.
#
#     python lessons/04_why_skip_connections.py            # all of it: some minutes
#     python lessons/04_why_skip_connections.py --quick    # a taste, in under a minute
#     python lessons/04_why_skip_connections.py --seed 1   # other weights and batches
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
import json
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, plot
from minitorch7.learner import Learner, error_rate, landscape
from minitorch7.vision import cifar_resnet, densenet

options = lesson.options_of(
    "Lesson 4: plain 20, plain 56 and residual 56 layers; the loss around them.",
    "out/04_why_skip_connections",
)


def host(t):
    """The values, where NumPy and matplotlib can see them."""
    return t.detach().cpu().numpy()


# %% [markdown]
# ## Small pictures, many layers
#
# Fifty-six layers on two processor cores: so the pictures must be small, and few. We
# take 6,400 digits of the training set and halve each to 14 by 14 pixels, by the
# mean of every 2 by 2. They are not varied, since the question is whether a network
# can learn *these*.

# %%
DIGITS, EPOCHS, BATCH, WIDTH = 6400, 16, 128, 4
if options.quick:
    DIGITS, BATCH = 1920, 64

sets = lesson.digits(options).split_by_folder(train="training", valid="testing")
sets = sets.label_from_folder()
sets.train = sets.train[:: len(sets.train) // DIGITS][:DIGITS]
if options.quick:
    sets.valid = sets.valid[::20]
data = sets.databunch(bs=BATCH, seed=options.seed).normalize()
print(f"{len(data.train_ds):,} digits to learn, {len(data.valid_ds):,} to check")


def some_digits(n):
    """Training digits, in n of the batches in which training begins."""
    batches = [b for b, _ in zip(data.train_dl.batches(0), range(n), strict=False)]
    return tuple(mt.cat(list(parts)) for parts in zip(*batches, strict=True))


# %% [markdown]
# ## Two networks and a plus sign
#
# The networks are those of He and others (2015) for small pictures: a convolution,
# then three stages of n *pairs* of convolutions, then the mean over the picture and a
# linear layer. That makes 1 + 3 · 2n + 1 = 6n + 2 layers with weights: 20 for n = 3,
# 56 for n = 9. The second and third stage begin with stride 2 and double the channels.
#
# A pair, in the residual network, is
#
#     y = relu(x + f(x))        f: conv, batch norm, relu, conv, batch norm
#
# and in the plain one the same without `x +`. With lesson 3's parts it takes one line.
# The library's has the stages, too; where the size changes, its shortcut takes every
# second pixel of x and fills the new channels with zeros. (Option A in the paper.)


# %%
def pair(nf):
    def norm_after_conv():
        return nn.Conv2d(nf, nf, 3, padding=1, bias=False), nn.BatchNorm2d(nf)

    f = *norm_after_conv(), nn.ReLU(), *norm_after_conv()
    return nn.SequentialEx(*f, nn.MergeLayer(), nn.ReLU())


def network(depth, shortcuts, **options):
    return cifar_resnet(depth, shortcuts, width=WIDTH, ni=1, **options)


by_hand, ready = pair(WIDTH), network(20, True).stage0[1]
weights = [t.data for t in by_hand.state_dict().values()]
ready.load_state_dict(dict(zip(ready.state_dict(), weights, strict=True)))
x = mt.randn(2, WIDTH, 14, 14)
print(f"by hand and ready-made differ by {host(ready(x) - by_hand(x)).max():.1g}")

# %% [markdown]
# This differs from lesson 3's `res_block` in small things. There a convolution is
# followed by the ReLU and *then* by batch norm, and nothing follows the sum. The sum
# is the same.

# %%
for shortcuts in (False, True):
    for depth in (20, 56):
        net = network(depth, shortcuts)
        layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        numbers = sum(p.numel() for p in net.parameters())
        kind = "residual" if shortcuts else "plain"
        print(f"{kind:8} {depth}: {len(layers)} layers, {numbers:,} parameters")

# %% [markdown]
# A plus sign has no parameters. Started from one seed, the plain and the residual
# network of 56 layers even have the same weights.
#
# ## Deeper cannot be worse
#
# That is, there is no excuse. Take a trained network of 20 layers and put 18 pairs
# into it that do nothing. Now it has 56 layers, and answers as before. So the *best*
# network of 56 layers is at least as good as the best of 20, on any data.
#
# For a residual pair, nothing is easy: let the last batch norm of f multiply by
# γ = 0. What is left is relu(x + 0), and x, which comes from a ReLU, has no negative
# elements to lose. Let us do it: three pairs of each stage are the shallow network's,
# six do nothing.

# %%
shallow, deep = network(20, True).eval(), network(56, True).eval()
deep.stem.load_state_dict(shallow.stem.state_dict())
deep.fc.load_state_dict(shallow.fc.state_dict())
for i in range(3):
    few, many = getattr(shallow, f"stage{i}"), getattr(deep, f"stage{i}")
    for j in range(9):
        if j < 3:
            many[j].load_state_dict(few[j].state_dict())
        else:
            nn.init.zeros_(many[j].body[-1].weight)  # γ of the last batch norm

xb, yb = some_digits(2)
halved = F.avg_pool2d(xb, 2)
with mt.no_grad():
    gap = host(shallow(halved) - deep(halved))
print(f"20 layers and these 56 differ by {np.abs(gap).max():.1g}")

# %% [markdown]
# A plain pair can do nothing, too. (With which kernel? That is an exercise.) The
# difference: a residual pair does it with zeros, where weights start, and where
# weight decay pulls them; a plain pair needs two exact kernels, which no start is
# near.
#
# So keep in mind what we are looking for. If 56 layers end with a higher *training*
# error than 20, they did not learn too much by heart: they were not trained as well
# as they could have been. It is the search that failed.
#
# ## What reaches the first layer
#
# The search follows the gradient, so let us follow it too. Let $x_l$ be what comes out
# of pair l, of L pairs. In the plain network $x_l = f_l(x_{l-1})$, and by the chain
# rule
#
# $$\frac{\partial L}{\partial x_0} = f_1'^\top f_2'^\top \cdots f_L'^\top
#   \frac{\partial L}{\partial x_L}$$
#
# A product of 27 matrices. If each makes vectors a third longer, the whole makes them
# 2,000 times longer; if each makes them a third shorter, 50,000 times shorter.
# With shortcuts, $x_l = x_{l-1} + f_l(x_{l-1})$, and every factor has a 1 in it:
#
# $$\prod_l (1 + f_l'^\top) = 1 + \sum_l f_l'^\top +
#   \sum_{l<k} f_l'^\top f_k'^\top + \cdots$$
#
# The 1 in front is the gradient as it left the loss, through no layer at all. Then
# come ways through one pair, through two, and so on: $2^{27}$ ways, and most of the
# long ones may die without harm. (The ReLU after each sum puts a mask on all of that.
# Lesson 3's `res_block` has none there.)
#
# That is a product on paper. Here is the real one: networks that have not learned
# anything, with batch norm and without, one batch of digits, and the length of
# dL/dx at every pair.


# %%
def through(net, x, y):
    """What comes out of the first convolution and of every pair; and the loss."""
    outs = [net.stem(x)]
    for stage in (net.stage0, net.stage1, net.stage2):
        for one in stage:
            outs.append(one(outs[-1]))
    scores = net.fc(net.avgpool(outs[-1]).flatten(1))
    return outs, F.cross_entropy(scores, y)


def lengths(net, x, y):
    """‖x_l‖ and ‖dL/dx_l‖ at every l, each divided by what it is at its beginning."""
    outs, loss = through(net, x, y)
    size = [float(np.linalg.norm(host(x)) / x.numel() ** 0.5) for x in outs]
    slope = [float(np.linalg.norm(host(g))) for g in mt.grad(loss, outs)]
    return np.array(size) / size[0], np.array(slope) / slope[-1]


starts = {
    "plain, no norm": (False, False),
    "residual, no norm": (True, False),
    "plain, batch norm": (False, True),
    "residual, batch norm": (True, True),
}
forward, backward = {}, {}
print(f"{'56 layers':22}{'x: last/first':>15}{'gradient: first/last':>22}{'a pair':>8}")
for name, (shortcuts, norm) in starts.items():
    mt.manual_seed(options.seed)
    net = network(56, shortcuts, norm=norm)
    forward[name], backward[name] = lengths(net, halved, yb)
    grown, back = forward[name][-1], backward[name][0]
    print(f"{name:22}{grown:15.2g}{back:22.3g}{back ** (1 / 27):8.2f}")


# %%
def draw_lengths(i, j, ax):
    for (name, found), colour in zip(
        (forward, backward)[j].items(), plot.PALETTE, strict=False
    ):
        ax.plot(found, color=colour, label=name, linewidth=2)
    ax.set_yscale("log")
    ax.set_xlabel("pair of convolutions")
    ax.set_title(
        (
            "on the way in: size of x, first = 1",
            "on the way back: length of dL/dx, last = 1",
        )[j]
    )
    ax.grid(True, color="0.9")
    if not j:
        ax.legend(frameon=False)


figure = plot.plot_multi(draw_lengths, 1, 2, (13, 4.6))
lesson.show(figure, options, "1_gradients")

# %% [markdown]
# Without batch norm, the plain network loses the *signal*: what comes out of the last
# pair is thousands of times smaller than what went in, so every digit looks the same
# to the classifier. (He's initialisation keeps the size in the mean over many
# channels. These are 4 to 16, so each layer is a throw of dice, and 56 throws are
# multiplied.) The residual one shouts: x + f(x) is longer than x in every pair.
#
# **Batch norm mends the way in.** It sets the size of every channel anew after every
# convolution: the green line is flat. That is what it was made for.
#
# **It does not mend the way back.** The green line on the right is as steep as the
# orange one. A factor of about 1.3 at each pair is harmless in the 9 pairs of
# the shallow network and a thousandfold in 27. This is no accident of our seed: in
# plain networks with batch norm the gradient grows exponentially with depth, whatever
# the initial weights (Yang and others 2019). With both, batch norm *and* shortcut,
# f's output has a fixed size while x grows, so the l-th pair changes x by
# about one part in l only, and the product of such factors grows as a power of the
# depth: the pink line bends, and ends near where it began.
#
# Is a long gradient bad? Its length alone could be divided away. Worse is what it
# stands for: the loss depends on the early weights so steeply that what the gradient
# says holds for tiny steps only, and for these digits only. That can be measured. Take
# the gradients of two different batches, and the cosine of the angle between them: 1
# if they agree where to go, 0 if they have nothing to say to each other.


# %%
def agreement(net):
    """The cosine between two batches' gradients, for each convolution's weights."""
    convs = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    found = []
    for part in (slice(0, BATCH), slice(BATCH, None)):
        _, loss = through(net, halved[part], yb[part])
        found.append([host(g).ravel() for g in mt.grad(loss, convs)])
    return [
        float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))
        for a, b in zip(*found, strict=True)
    ]


print("do two batches agree? mean cosine over a third of the layers")
print(f"{'':14}{'first':>8}{'middle':>8}{'last':>8}")
RACE = {"plain 20": (20, False), "plain 56": (56, False), "residual 56": (56, True)}
for name, form in RACE.items():
    thirds = []
    for draw in range(4):
        mt.manual_seed(1000 * options.seed + draw)
        cosines = agreement(network(*form))
        thirds.append([np.mean(third) for third in np.array_split(cosines, 3)])
    first, middle, last = np.mean(thirds, axis=0)
    print(f"{name:14}{first:8.2f}{middle:8.2f}{last:8.2f}")

# %% [markdown]
# Balduzzi and others (2017) called it *shattered gradients*: in a deep plain network
# neighbouring inputs have gradients like white noise, and shortcuts keep them alike.
#
# He and others had said already that it is not the *vanishing* gradient that makes
# their plain networks fail, since batch norm was there. They were right: it is long
# enough. It is of no use.
#
# ## The race
#
# Now train all three. For the comparison to be fair, everything is the same for all:
# the digits, the order of batches, He's initialisation, stochastic gradient descent
# with momentum, a weight decay of 10⁻⁴, and one cycle of the learning rate. The
# height of that cycle is not the same, for a rate that suits one network may be wrong for
# another, and to choose it by hand would be to choose the winner. So each was
# trained with each of four rates, from three seeds, and gets the rate that is best
# *for it*. `benchmarks/skip_connections.py` does that, and keeps what it found:

# %%
kept = Path(lesson.__file__).parents[1] / "benchmarks/results/skip_connections.json"
runs = json.loads(kept.read_text()) if kept.exists() else []
RATES = {"plain 20": 0.3, "plain 56": 0.1, "residual 56": 0.3}


def of_runs(name, rate, key):
    return [run[key] for run in runs if (run["net"], run["rate"]) == (name, rate)]


if runs:
    seeds = sorted({run["seed"] for run in runs})
    print("training error in % after the benchmark's runs; * the network's best rate")
    print(f"{'':13}{'rate':>6}" + "".join(f"  seed {seed}" for seed in seeds))
    for name in RACE:
        for rate in sorted({run["rate"] for run in runs}):
            errors = of_runs(name, rate, "train_error")
            cells = "".join(f"{100 * error:8.2f}" for error in errors)
            print(f"{name:13}{rate:6}{cells}{' *' if rate == RATES[name] else ''}")

# %% [markdown]
# And here, live, from this lesson's seed:


# %%
def trained(name):
    mt.manual_seed(options.seed)  # plain 56 and residual 56 begin with the same weights
    model = nn.Sequential(nn.AvgPool2d(2), network(*RACE[name]))
    learn = Learner(
        data,
        model,
        opt_func=partial(optim.SGD, momentum=0.9),
        metrics=error_rate,
        wd=1e-4,
        path=options.out,
    )
    learn.fit_one_cycle(
        lesson.epochs_of(options, EPOCHS, taste=4),
        max_lr=RATES[name],
        checkpoint=name.replace(" ", "_"),
        checkpoint_every=100,
        restart=options.restart,
    )
    return learn


learners = {name: trained(name) for name in RACE}

# %%
print(f"{'':13}{'training loss':>14}{'error':>9}{'error on new digits':>21}")
for name, learn in learners.items():
    loss, error = learn.validate(data.fix_dl)
    new = learn.recorder.metrics[-1][0]
    print(f"{name:13}{loss:14.4f}{100 * error:7.2f} %{100 * new:19.2f} %")

curves = {name: learn.recorder.losses for name, learn in learners.items()}
figure = plot.curves(
    np.arange(len(curves["plain 20"])),
    curves,
    "batches",
    "training loss, smoothed",
    log_y=True,
)
lesson.show(figure, options, "2_race")
