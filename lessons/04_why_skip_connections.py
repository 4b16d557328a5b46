# %% [markdown]
# # 4. Why skip connections
#
# At the end of this lesson you can show on your own machine that 56 layers learn
# their *training* pictures worse than 20 do, and that one plus sign for every two
# layers cures it. You can follow the gradient through all 56 before any training,
# draw the loss around a trained network, and say in numbers what the drawing shows.
#
# Lesson 3 met the sum in passing: its network was thirteen layers deep and would have
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
# take 6,400 digits of the training set and halve each to 14 by 14 pixels, by the mean
# of every 2 by 2. They are not varied, since the question is whether a network can
# learn *these*.

# %%
DIGITS, EPOCHS, BATCH, WIDTH = 6400, 16, 128, 4
if options.quick:
    DIGITS, BATCH = 1600, 64

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
# 56 for n = 9. The second and third stage begin with stride 2 and double the
# channels.
#
# A pair, in the residual network, is
#
#     y = relu(x + f(x))        f: conv, batch norm, relu, conv, batch norm
#
# and in the plain one the same without `x +`. With lesson 3's parts it takes one
# line. The library's has the stages, too; where the size changes, its shortcut takes
# every second pixel of x and fills the new channels with zeros. (Option A in the
# paper.)


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
# For a residual pair, nothing is easy: let the last batch norm of f multiply by γ =
# 0. What is left is relu(x + 0), and x, which comes from a ReLU, has no negative
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
# The search follows the gradient, so let us follow it too. Let xₗ be what comes out
# of pair l, of L pairs. In the plain network xₗ = fₗ(xₗ₋₁), and by the chain rule
#
# $$\frac{\partial L}{\partial x_0} = f_1'^\top f_2'^\top \cdots f_L'^\top
#   \frac{\partial L}{\partial x_L}$$
#
# A product of 27 matrices. If each makes vectors a third longer, the whole makes them
# 2,000 times longer; if each makes them a third shorter, 50,000 times shorter. With
# shortcuts, xₗ = xₗ₋₁ + fₗ(xₗ₋₁), and every factor has a 1 in it:
#
# $$\prod_l (1 + f_l'^\top) = 1 + \sum_l f_l'^\top +
#   \sum_{l<k} f_l'^\top f_k'^\top + \cdots$$
#
# The 1 in front is the gradient as it left the loss, through no layer at all. Then
# come ways through one pair, through two, and so on: 2²⁷ ways, and most of the long
# ones may die without harm. (The ReLU after each sum puts a mask on all of that.
# Lesson 3's `res_block` has none there.)
#
# That is a product on paper. Here is the real one: networks that have not learned
# anything, with batch norm and without, one batch of digits, and the length of dL/dx
# at every pair.


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
# orange one. A factor of about 1.3 at each pair is harmless in the 9 pairs of the
# shallow network and a thousandfold in 27. This is no accident of our seed: in plain
# networks with batch norm the gradient grows exponentially with depth, whatever the
# initial weights (Yang and others 2019). With both, batch norm *and* shortcut, f's
# output has a fixed size while x grows: the l-th pair adds to the square of its
# length about one part in l only. A product of such factors grows as a power of the
# depth and no longer exponentially: the pink line bends.
#
# Is a long gradient bad? Its length alone could be divided away. Worse is what it
# stands for: the loss depends on the early weights so steeply that what the gradient
# says holds for tiny steps only, and for these digits only. That can be measured.
# Take the gradients of two different batches, and the cosine of the angle between
# them: 1 if they agree where to go, 0 if they have nothing to say to each other. (The
# mean over several starts, since one is a throw of dice.)


# %%
def agreement(net):
    """The cosine between two batches' gradients, for each convolution's weights."""
    convs = [m.weight for m in net.modules() if isinstance(m, nn.Conv2d)]
    found = []
    for part in (slice(None, None, 2), slice(1, None, 2)):
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
    for draw in range(2 if options.quick else 4):
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
# height of that cycle is not the same, for a rate that suits one network may be wrong
# for another, and to choose it by hand would be to choose the winner. So each was
# trained at four rates from one seed, at those that did well from three, and gets the
# rate that is best *for it*: the one with the lowest training loss, on the mean.
# `benchmarks/skip_connections.py` does that, and keeps what it found:

# %%
kept = Path(lesson.__file__).parents[1] / "benchmarks/results/skip_connections.json"
runs = json.loads(kept.read_text()) if kept.exists() else []
RATES = {"plain 20": 0.1, "plain 56": 0.03, "residual 56": 0.3}


def of_runs(name, rate, key):
    return [run[key] for run in runs if (run["net"], run["rate"]) == (name, rate)]


if runs:
    seeds = sorted({run["seed"] for run in runs})
    print("training error in % after the benchmark's runs; * the network's best rate")
    print(f"{'':13}{'rate':>6}" + "".join(f"  seed {seed}" for seed in seeds))
    for name in RACE:
        for rate in sorted({run["rate"] for run in runs if run["net"] == name}):
            by_seed = {
                run["seed"]: f"{100 * run['train_error']:.2f}"
                for run in runs
                if (run["net"], run["rate"]) == (name, rate)
            }
            cells = "".join(f"{by_seed.get(seed, '-'):>8}" for seed in seeds)
            print(f"{name:13}{rate:6}{cells}{' *' if rate == RATES[name] else ''}")

# %% [markdown]
# And here, live, from this lesson's seed:


# %%
def trained(name, epochs, checkpoint):
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
        lesson.epochs_of(options, epochs, taste=min(epochs, 4)),
        max_lr=RATES[name],
        checkpoint=checkpoint,
        checkpoint_every=100,
        restart=options.restart,
    )
    return learn


learners = {name: trained(name, EPOCHS, name.replace(" ", "_")) for name in RACE}

# %% [markdown]
# (A validation loss far above ln 10 in the first epochs is not a mistake. Validation
# uses the running statistics of up to 55 batch norms, each of which lags a little
# behind weights that still move fast, and the errors multiply. As the learning rate
# falls they catch up.)

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

# %% [markdown]
# In every run of the table, at every rate, plain 56 is the worst of the three by far.
# It has more than three times as many weights as plain 20, and makes many times as
# many mistakes **on the pictures it learns from**. No rate saves it, and how far it
# gets is a matter of luck: 0.1 is the best rate for seed 0, and nearly the worst for
# seed 2. With the plus sign the same weights reach almost none.
#
# The curves show how. Residual 56 goes down almost from the first batch. Plain 56
# stays for hundreds of batches near ln 10 = 2.3, where a network is that knows
# nothing. It does learn in the end, and with more epochs it would go on. Nothing
# forbids it to arrive. It is slow to find the way.
#
# ## The loss around what was found
#
# Can one *see* why? The loss is a function of all 54,214 weights. Two directions are
# as many as can be drawn: through the trained weights θ, draw
#
# $$g(\alpha, \beta) = L(\theta + \alpha\,\delta + \beta\,\eta)$$
#
# for two random directions. But how long should they be? In a network with ReLUs one
# can multiply the weights of a layer by ten and divide those of the next by ten, and
# nothing changes. A step of fixed length is tiny then for the one and enormous for
# the other, and the picture would show the scale of the weights and not the network.
# So Li and others (2018) make each *filter* of the direction as long as the same
# filter of the network: δⱼ ← δⱼ/‖δⱼ‖ · ‖θⱼ‖. A step of 1 then changes every filter by
# its own length. Batch norm's γ and β, and biases, stay.

# %%
early = "residual 56, early"
nets = {name: learn.model for name, learn in learners.items()}
xs, ys = some_digits(1 if options.quick else 2)
at = np.linspace(-1, 1, 9 if options.quick else 25)


def loss_of(net):
    return lambda: F.cross_entropy(net(xs), ys)


def filter_lengths(tensor):
    return np.linalg.norm(host(tensor).reshape(len(tensor), -1), axis=1).round(3)


params = list(nets["plain 56"].parameters())
direction = landscape.random_direction(params)
print("the filters of plain 56's second convolution are so long:")
print("weights   ", filter_lengths(params[3]))
print("direction ", filter_lengths(direction[3]))
mt.manual_seed(options.seed)
print("at the start", filter_lengths(list(network(56, False).parameters())[3]))

# %% [markdown]
# The loss is that of a few hundred training digits, always the same, and batch norm
# uses its running statistics, which stay: otherwise it would undo whatever we do to
# the size of a filter.
#
# There is one more network to compare with. Residual 56 ends at a far lower loss than
# plain 56, and near a loss of 0 everything is flat. So we also look at a residual
# network that was stopped early, after one epoch, when it was about as bad as plain
# 56 is in the end. What differs between these two is not how far they came.

# %%
nets[early] = trained("residual 56", 1, "early").model

found = {}
for name, net in nets.items():
    with nn.evaluating(net):
        params = list(net.parameters())
        mt.manual_seed(options.seed)
        plane = [landscape.random_direction(params) for _ in range(2)]
        found[name] = landscape.loss_on_grid(loss_of(net), params, plane, at)

figure = plot.surfaces(at, found, "α", "β", "loss", log=True, ceiling=1000)
lesson.show(figure, options, "3_landscape")

# %% [markdown]
# All hills have the same height scale and the same colours, and the scale is
# logarithmic: one contour line after the other means a loss so many *times* as large.
#
# Around the residual network lies a bowl, as wide as the picture and deep in the
# middle. Around plain 56 there is a floor, at about the loss of a network that knows
# nothing, with a slight dent where training ended; and at the rim of the floor the
# loss rises a hundredfold within a few steps. (It is cut off at 1,000.) That is what
# one sees. One sees what one expects, too, so let us say it in numbers, of which each
# has a formula.
#
# - **Sharpness.** The second derivatives of the loss are a matrix H of 54,214 rows,
#   and its largest eigenvalue λ is the steepest curvature in any direction. H cannot
#   be written down, but H·v can be had, as one more walk backward: H·v = ∇(∇L·v). The
#   library's gradients can be differentiated again, so nothing new is needed. From a
#   few dozen such products Lanczos' method finds both ends of the spectrum. Here H is
#   taken in coordinates in which each filter has length 1, for the same reason as
#   above.
# - **Not convex.** A function is convex where its Hessian has no negative eigenvalue.
#   At each point of the drawn plane, take the 2 by 2 Hessian of the drawn function g
#   from its neighbours, and count the points where its smaller eigenvalue is below 0.
#   There H has a negative one, too: the loss is not convex there.
# - **Climb.** Stand at a distance of 1 and walk straight to the weights that training
#   found. How much do you go *up* on the way, all in all? In a bowl it is 0. We go
#   along eight random lines, each from both ends.


# %%
def climbs_of(net, lines):
    """How much each of 2·lines straight walks to the trained weights goes up."""
    along, params = np.linspace(-1, 1, 21), list(net.parameters())
    ways = []
    for _ in range(lines):
        line = landscape.random_direction(params)
        heights = landscape.loss_on_grid(loss_of(net), params, [line], along)
        ways += [landscape.climb(heights[:11]), landscape.climb(heights[10:][::-1])]
    return ways


print(f"{'':19}{'loss':>8}{'λ max':>11}{'λ min':>11}{'not convex':>12}{'climb':>8}")
for name, net in nets.items():
    with nn.evaluating(net):
        params = list(net.parameters())
        here = loss_of(net)()
        hessian = landscape.Hessian(here, params, landscape.filter_norms(params))
        steps = 10 if options.quick else 40
        smallest, largest = landscape.extreme_eigenvalues(hessian, steps)
        low, _ = landscape.slice_curvatures(found[name], at[1] - at[0])
        climb = mean(climbs_of(net, 1 if options.quick else 8))
    row = f"{name:19}{here.item():8.4f}{largest:11.4g}{smallest:11.3g}"
    print(f"{row}{100 * (low < 0).mean():10.0f} %{climb:8.2f}")
del hessian  # and the graph that it keeps

# %% [markdown]
# The benchmark measured the same after each of its runs; at each network's best rate,
# the mean over the seeds:

# %%
if runs:
    print(f"{'':19}{'λ max':>11}{'λ min':>11}{'not convex':>12}{'climb':>8}")
    for name in RACE:
        keys = "largest", "smallest", "not_convex", "climb"
        means = [mean(of_runs(name, RATES[name], key)) for key in keys]
        print(
            "{:19}{:11.4g}{:11.3g}{:10.0f} %{:8.2f}".format(
                name, *means[:2], 100 * means[2], means[3]
            )
        )

# %% [markdown]
# Two of the three measures tell the same story as the drawing, and tell it in every
# run. Around plain 56 the steepest curvature is several times that around the others,
# and more than half of the plane is not convex. Residual 56 lies in a bowl, and plain
# 20 nearly so: it is neither depth alone that makes the loss rugged, nor the missing
# shortcut alone, but both together. And compare plain 56 with the early residual
# network: the same depth, the same number of weights, about the same loss.
#
# The third measure does not. At its best rate, plain 56 has hardly a wall on the
# straight way home, and the early residual network has some. (At a rate of 0.3, so
# says the benchmark's file, plain 56 has high ones.) Ridges and hollows are not the
# same as walls, and one number is not a landscape: that is why we took three.
#
# A word of caution. This is the landscape around the place where training *ended*,
# along random lines; training walked along other ones. That it is rugged here does
# not prove that it was so on the way. But it fits what we saw before any training:
# where a step to the side changes everything, the gradients of two batches do not
# agree.
#
# ## Side by side instead of a sum
#
# There is a second way to let x past the layers: do not add it, put it beside. That
# is a *dense* block, and in lesson 3's `res_block` it is the difference of one flag,
# which `MergeLayer` obeys: `F.cat([x, original], dim=1)` instead of `x + original`.
# The gradient has its free passage here as well, for a part of y *is* x.

# %%
block = nn.res_block(8, dense=True)
x = mt.randn(16, 8, 14, 14, requires_grad=True)
y = block(x)
print("in:", x.shape, " out:", y.shape)
print("the last 8 channels are x:", bool((host(y)[:, 8:] == host(x)).all()))
cotangent = mt.randn(*y.shape)
(all_of_it,) = mt.grad(y, x, cotangent, retain_graph=True)
(through_layers,) = mt.grad(y[:, :8], x, cotangent[:, :8])
passed = host(all_of_it - through_layers)
print(
    f"what passes beside differs by {np.abs(passed - host(cotangent)[:, 8:]).max():.1g}"
)

# %% [markdown]
# The price is that nothing is ever forgotten. The lesson's block doubles the
# channels: after b blocks there are nf · 2ᵇ. Huang and others (2017) let each layer
# see all that came before, but contribute only k new channels, the *growth rate*:
# batch norm, ReLU, a convolution to k channels, and after l layers there are nf +
# k·l. With `SequentialEx` and `MergeLayer` that is a line, too. Compare, for one
# stage at 14 by 14 pixels: channels, weights, and what a training step with 128
# digits will take. (`predict_memory` tries the step with two pictures and with three,
# and draws the line.)


# %%
def dense_layer(ni, k):
    """Huang's: ni channels in, ni + k out."""
    conv = nn.Conv2d(ni, k, 3, padding=1, bias=False)
    return nn.SequentialEx(
        nn.BatchNorm2d(ni), nn.ReLU(), conv, nn.MergeLayer(dense=True)
    )


GROWTH = 8
KINDS = {
    "adding": (lambda c: nn.res_block(c), lambda c: c),
    "growing by 8": (lambda c: dense_layer(c, GROWTH), lambda c: c + GROWTH),
    "doubling": (lambda c: nn.res_block(c, dense=True), lambda c: 2 * c),
}
step = mt.zeros(128, 1, 14, 14), mt.zeros(128, dtype=np.int64)
grown = {name: [] for name in KINDS}
print(f"{'':14}{'blocks':>8}{'channels':>10}{'weights':>11}{'memory of a step':>19}")
for name, (make, after) in KINDS.items():
    for blocks in range(1, 6):
        layers, c = [nn.conv_layer(1, 8)], 8
        for _ in range(blocks):
            layers.append(make(c))
            c = after(c)
        head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 10)
        stage = nn.Sequential(*layers, *head)
        plan = mt.predict_memory(stage, F.cross_entropy, *step, states=1)
        weights = sum(p.numel() for p in stage.parameters())
        grown[name].append((c, weights, plan.peak / 2**20))
        row = f"{name:14}{blocks:8}{c:10}{weights:11,}"
        print(f"{row}{plan.peak / 2**20:15.1f} MiB")


# %%
def draw_growth(i, j, ax):
    for (name, rows), colour in zip(grown.items(), plot.PALETTE, strict=False):
        values = [row[j] for row in rows]
        ax.plot(range(1, 6), values, "o-", color=colour, label=name, linewidth=2)
    ax.set_yscale("log")
    ax.set_xticks(range(1, 6))
    ax.set_xlabel("blocks")
    ax.set_title(("channels", "weights", "memory of a step, MiB")[j])
    ax.grid(True, color="0.9")
    if not j:
        ax.legend(frameon=False)


lesson.show(plot.plot_multi(draw_growth, 1, 3, (14, 4.2)), options, "4_growth")

# %% [markdown]
# Doubling cannot go on for long, so a DenseNet has *transitions*: now and then a 1 by
# 1 convolution takes the channels back down and 2 by 2 averages halve the picture.
# That must be so for another reason, too: maps of different size cannot be put side
# by side. The library's `densenet` has both. Beside the networks of this lesson, in
# memory:

# %%
whole = {
    "plain 20": network(20, False),
    "plain 56": network(56, False),
    "residual 56": network(56, True),
    "dense (2, 2, 2)": densenet(num_classes=10, blocks=(2, 2, 2), nf=8, ni=1),
    "dense (3, 3, 3)": densenet(num_classes=10, blocks=(3, 3, 3), nf=8, ni=1),
}
parts = {"activations and gradients": [], "weights, momentum": [], "columns": []}
for net in whole.values():
    plan = mt.predict_memory(net, F.cross_entropy, *step, states=1)
    sizes = plan.graph + plan.batch, plan.parameters + plan.optimizer, plan.workspace
    for part, size in zip(parts.values(), sizes, strict=True):
        part.append(size / 2**20)
print(f"{'':17}{'layers':>8}{'weights':>11}{'memory':>10}")
for (name, net), *sizes in zip(whole.items(), *parts.values(), strict=True):
    layers = [m for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    weights = sum(p.numel() for p in net.parameters())
    print(f"{name:17}{len(layers):8}{weights:11,}{sum(sizes):6.0f} MiB")
figure = plot.stacked_bars(
    list(whole), parts, "memory of a training step with 128 digits, MiB", fmt="{:.0f}"
)
lesson.show(figure, options, "5_memory")

# %% [markdown]
# The plus sign costs nothing: plain 56 and residual 56 take the same memory, since
# the gradient of a sum needs neither of its parts. The dense networks halve the
# picture at their first layer, and still the one with about as many layers as plain
# 20 needs twice its memory, and has thirty times its weights. What that buys is that
# every layer sees all that came before it. Where small details must come through, as
# when every pixel gets a class, that is worth its price; lesson 6 will put things
# side by side across a whole network.
#
# ## What the library does
#
# | here | there |
# |---|---|
# | plain and residual networks | `minitorch7/vision/cifar_resnet.py:47` `CifarResNet` |
# | a pair of convolutions | `minitorch7/vision/cifar_resnet.py:19` `PairOfConvs` |
# | the sum, and side by side | `minitorch7/nn/containers.py:76` `MergeLayer` |
# | what gives it the block's input | `minitorch7/nn/containers.py:105` `SequentialEx` |
# | lesson 3's block | `minitorch7/nn/blocks.py:93` `res_block` |
# | the start of the weights | `minitorch7/nn/init.py:91` `kaiming_normal_` |
# | batch norm backward | `minitorch7/functional/normalisation.py:51` `BatchNormGrad` |
# | gradients of gradients | `minitorch7/autograd/walk.py:183` `grad` |
# | a random direction | `minitorch7/learner/landscape.py:55` `random_direction` |
# | the loss on a plane | `minitorch7/learner/landscape.py:95` `loss_on_grid` |
# | not convex | `minitorch7/learner/landscape.py:121` `slice_curvatures` |
# | climb | `minitorch7/learner/landscape.py:142` `climb` |
# | H·v | `minitorch7/learner/landscape.py:157` `Hessian` |
# | Lanczos' method | `minitorch7/learner/landscape.py:196` `extreme_eigenvalues` |
# | hills and contour lines | `minitorch7/plot/surfaces.py:19` `surfaces` |
# | the dense network | `minitorch7/vision/densenet.py:21` `DenseNet` |
# | memory foretold | `minitorch7/profile/memory.py:43` `predict_memory` |
#
# ## Try it
#
# Write your answer in a cell below, or in `python -i
# lessons/04_why_skip_connections.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("4.1", your_answer)
#
# **4.1** Write `parameters(depth, width)`: how many parameters has
# `cifar_resnet(depth, width=width, ni=1)`? Why does it not matter whether it has
# shortcuts?
#
# **4.2** Write `do_nothing(pair)`, which sets the kernels of a *plain* pair, a fresh
# `PairOfConvs(nf, nf, shortcut=False)` in evaluation mode, so that what comes out is
# what went in, for inputs without negative elements. With it a plain network of 20
# layers can be made one of 56 that answers the same. (`pair.body` is conv, norm,
# relu, conv, norm; write to `conv.weight.data`.)
#
# **4.3** Multiply out (1 + f₁′)(1 + f₂′)⋯(1 + f₂₇′): each of the 2²⁷ terms is a way
# for the gradient through some of the pairs, and past the others. Write
# `share_of_ways(pairs, low, high)`: which share of all ways goes through at least
# `low` and at most `high` pairs? What is it for 27, 9, 18? So how deep is a residual
# network of 56 layers?
#
# **4.4** Write `filter_normalised(direction, weight)` for two NumPy arrays (out, in,
# kh, kw), or (out, in): the direction with each filter as long as the weight's.
#
# **4.5** Write `curvature(f, x, v)`: vᵀHv, where H are the second derivatives at x of
# a function f, which takes a tensor and gives one number. Use `mt.grad`, twice.
#
# **4.6** Write `dense_parameters(nf, blocks)`: how many parameters have so many dense
# `res_block`s in a row, if nf channels enter the first? By which factor does each
# block exceed the one before it?
#
# And without a check, because the answer is a training run:
#
# - Train plain 56 for 64 epochs. Does it reach what plain 20 reached in 16? What,
#   then, did the plus sign buy?
# - Train the networks with `norm=False`, each at the largest rate at which the loss
#   falls. Which of the three can be trained at all?
# - Let γ of the last batch norm in every pair of residual 56 begin at 0, so that it
#   begins as a network of one layer. Does it learn faster? What happened to the
#   agreement of two batches?
# - Draw the landscape after 0, 1, 2, 4 and 8 epochs. When does plain 56 leave the
#   plateau?
#
# ## Sources
#
# He, Zhang, Ren, Sun, *Deep residual learning for image recognition* (arXiv
# 1512.03385). Li, Xu, Taylor, Studer, Goldstein, *Visualizing the loss landscape of
# neural nets* (1712.09913). Huang, Liu, van der Maaten, Weinberger, *Densely
# connected convolutional networks* (1608.06993). Ioffe, Szegedy, *Batch
# normalization* (1502.03167). Yang, Pennington, Rao, Sohl-Dickstein, Schoenholz, *A
# mean field theory of batch normalization* (1902.08129). Balduzzi and others, *The
# shattered gradients problem* (1702.08591). Veit, Wilber, Belongie, *Residual
# networks behave like ensembles of relatively shallow networks* (1605.06431).
# Pearlmutter, *Fast exact multiplication by the Hessian* (1994). fast.ai, *Practical
# Deep Learning for Coders* 2019, lesson 7.
