# %% [markdown]
# # 3. Handwritten digits: from a plain CNN to a ResNet
#
# At the end of this lesson you can build a convolutional network that reads
# handwritten digits, make it deeper without making it worse, and say for every
# number in its summary where it comes from. The network you end with gets about
# 995 of 1,000 digits right. All of it runs on arrays: no deep-learning framework
# is under this page but the one you can read.
#
# It follows the first third of fast.ai's 2019 lesson 7 (`lesson7-resnet-mnist`).
# Run it as a script, or open it as a notebook, a cell at a time:
#
#     python lessons/03_resnet_mnist.py            # all of it: some minutes
#     python lessons/03_resnet_mnist.py --quick    # a taste, in about a minute
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.data import rand_pad
from minitorch7.learner import Learner, accuracy

options = lesson.options_of(
    "Lesson 3: from a plain CNN to a ResNet on handwritten digits.",
    "out/03_resnet_mnist",
)

# %% [markdown]
# ## The data
#
# MNIST is 70,000 grey pictures of digits, 28 by 28 pixels, each with the digit it
# shows: 60,000 in a folder called `training`, 10,000 in `testing`. Before a
# network can learn from them, five questions need an answer. The data block asks
# them in a chain: what are the items, which of them are for validation, what are
# their labels, how may they be varied, how many at a time?

# %%
il = lesson.digits(options)
print(il)

# %% [markdown]
# One picture is an array of one channel, 28 rows and 28 columns, between 0
# (paper) and 1 (ink). PyTorch puts the channel first, and so do we.

# %%
print("one picture:", il[0].shape, il[0].dtype, f"from {il[0].min()} to {il[0].max()}")

# %% [markdown]
# The folder `testing` will be our **validation** set. The difference from a test
# set: a validation set has labels, and you look at it while you work; a test set
# has none that you know of.

# %%
sets = il.split_by_folder(train="training", valid="testing")
sets = sets.label_from_folder()
if options.quick:  # a taste: the same digits, fewer of them
    sets.train = sets.train[::5]
    sets.valid = sets.valid[::5]
print(sets)

# %% [markdown]
# ### Variation
#
# A network that sees the very same pictures again and again learns them by heart.
# So each epoch shows it slightly different ones. But which differences leave a
# digit the same digit? Mirroring does not: it makes a 2 into nothing. Zooming
# blurs what is only 28 pixels wide. Moving does: we put 3 pixels of paper around
# the picture and cut 28 by 28 out of it again, at one of 7 · 7 = 49 places drawn
# at random. Only the training set is varied. What we measure on stays as it is.

# %%
tfms = ([*rand_pad(padding=3, size=28, mode="zeros")], [])
data = sets.transform(tfms).databunch(bs=128, seed=options.seed).normalize()

# %% [markdown]
# `normalize()` took one training batch, measured its mean and its standard
# deviation, and from now on every picture is put on that scale: x → (x − mean)/std.
# With a pretrained network you would use *its* numbers. Ours starts from nothing,
# so the data's own will do.

# %%
mean, std = (float(part[0]) for part in data.stats)
print(f"mean {mean:.4f}, standard deviation {std:.4f}")
xb, yb = data.one_batch()
print("a batch:", xb.shape, "with labels", yb.shape)
lesson.show(data.show_batch(rows=4, cmap="binary"), options, "1_batch")

# %% [markdown]
# Ask the training set nine times for its first item, and it moves.

# %%
looks = np.stack([data.train_ds[0][0] for _ in range(9)])
lesson.show(plot.image_grid(looks, rows=1, cmap="binary"), options, "2_moves")

# %% [markdown]
# ## A basic CNN
#
# A convolution with a 3 by 3 kernel, moved two pixels at a time (stride 2) over a
# picture with one pixel of padding, gives an output of ⌊(n + 2·1 − 3)/2⌋ + 1
# pixels: half as many, rounded up. Five of them take 28 pixels to 14, 7, 4, 2
# and 1. Meanwhile the channels grow from 1 to 8, 16, 32, and at the end there must
# be 10, one score for each digit.


# %%
def conv(ni, nf):
    return nn.Conv2d(ni, nf, kernel_size=3, stride=2, padding=1)


# %% [markdown]
# After each convolution comes a batch norm, which puts every channel on one scale
# so that large learning rates work, and a ReLU, without which five convolutions
# in a row would be no more than one. The last layer takes a 10 by 1 by 1 block
# to a plain row of 10 scores.
#
# (The text of the lesson says that `Flatten` removes axes of length one. What the
# code does is a reshape to (N, everything else), and so does this.)


# %%
def flatten(x):
    return x.reshape(x.shape[0], -1)


mt.manual_seed(options.seed)
model = nn.Sequential(
    conv(1, 8),  # 14
    nn.BatchNorm2d(8),
    nn.ReLU(),
    conv(8, 16),  # 7
    nn.BatchNorm2d(16),
    nn.ReLU(),
    conv(16, 32),  # 4
    nn.BatchNorm2d(32),
    nn.ReLU(),
    conv(32, 16),  # 2
    nn.BatchNorm2d(16),
    nn.ReLU(),
    conv(16, 10),  # 1
    nn.BatchNorm2d(10),
    nn.Lambda(flatten),  # (N, 10, 1, 1) → (N, 10)
)

# %% [markdown]
# A `Learner` is the data, a model, a loss and what to report. The loss is cross
# entropy: turn the ten scores into probabilities, and take minus the logarithm of
# the one given to the right digit. `summary()` sends one batch through and writes
# down what comes out of every layer.


# %%
def learner(model):
    return Learner(
        data,
        model,
        loss_func=nn.CrossEntropyLoss(),
        metrics=accuracy,
        path=options.out,
    )


learn = learner(model)
print(learn.summary())

# %% [markdown]
# Where do the numbers come from? The second convolution has, for each of 16
# outputs, a 3 by 3 kernel on each of 8 inputs, and one bias. A batch norm has a
# scale and a shift for each channel.

# %%
print("second convolution:", 16 * 8 * 3 * 3 + 16, "  its batch norm:", 2 * 16)
with nn.evaluating(model), mt.no_grad():
    scores = model(xb)
print("scores:", scores.shape)

# %% [markdown]
# A network that knows nothing and says so gives every digit a tenth: its loss is
# ln 10. Ours starts with more, because it is not that modest. Its last layer is a
# batch norm, so its scores have standard deviation 1 before they mean anything,
# and scores that vary at random cost about half their variance.

# %%
loss = F.cross_entropy(model(xb), yb).item()
print(f"before training: loss {loss:.4f}; ln 10 = {np.log(10):.4f}, and a half more")

# %% [markdown]
# ### Which learning rate?
#
# `lr_find` trains for a hundred batches with a rate that grows from almost nothing
# to absurdly much, and draws the loss against it. A good rate is a little left of
# where the loss begins to explode. Afterwards the weights are as they were.

# %%
learn.lr_find(end_lr=100)
lesson.show(learn.recorder.plot(), options, "3_lr_find")

# %% [markdown]
# The rate 0.1 is on the steep way down. Now the training itself: one *cycle*, in
# which the learning rate rises from 0.1/25 to 0.1 over three tenths of the
# batches, and falls to nearly nothing over the rest, while Adam's momentum goes
# the other way. Fast in the middle, careful at the end.


# %%
def train(learn, name, epochs, max_lr):
    """One cycle, kept in a checkpoint: started again, it goes on or is done."""
    if options.quick:
        epochs = max(1, epochs // 4)
    epochs = min(epochs, options.epochs or epochs)
    learn.fit_one_cycle(
        epochs,
        max_lr=max_lr,
        checkpoint=name,
        checkpoint_every=100,
        restart=options.restart,
    )
    return learn.recorder.metrics[-1][0]


acc = train(learn, "basic", 3, 0.1)
lesson.beside_published(
    options,
    "basic CNN",
    acc,
    [("the lesson, 3 epochs", 0.9864), ("its later notebook", 0.9886)],
)
lesson.show(learn.recorder.plot_lr(show_moms=True), options, "4_one_cycle")
lesson.show(learn.recorder.plot_losses(), options, "5_losses")

# %% [markdown]
# The loss in the table's second column is not the mean of the epoch. It is a
# running one, m ← 0.98·m + 0.02·loss, divided by 1 − 0.98ⁿ so that it does not
# start too low.
#
# ## The same again, shorter
#
# A convolution, an activation and a batch norm come up so often that fastai calls
# them one `conv_layer`. It is not quite the network from before. In `conv_layer`
# the ReLU comes *before* the batch norm; the convolution has no bias, since the
# batch norm's shift would undo it; and the weights start from Kaiming's normal
# distribution. Hence 12,044 parameters and not 12,126.


# %%
def conv2(ni, nf):
    return nn.conv_layer(ni, nf, stride=2)


mt.manual_seed(options.seed)
model = nn.Sequential(
    conv2(1, 8),  # 14
    conv2(8, 16),  # 7
    conv2(16, 32),  # 4
    conv2(32, 16),  # 2
    conv2(16, 10),  # 1
    nn.Flatten(),
)
print(model[0])
print("parameters:", sum(p.numel() for p in model.parameters()))
learn = learner(model)
acc = train(learn, "refactored", 10, 0.1)
lesson.beside_published(
    options,
    "refactored",
    acc,
    [("the lesson, 10 epochs", 0.9911), ("its later notebook", 0.9916)],
)

# %% [markdown]
# ## Deeper, and the problem with deeper
#
# What if we put a stride-1 convolution after each stride-2 one? It leaves the size
# alone, so we can have as many as we like. But He and others found in 2015 that a
# plain network of 56 layers does *worse* than one of 20, and worse on the
# **training** set: it does not learn too much by heart, it fails to learn.
#
# That should not be. Set 36 of the 56 layers to do nothing, and the deep network
# is the shallow one. Doing nothing, though, is hard to learn for a convolution
# with a ReLU. So He and others made it easy. Instead of
#
#     y = conv2(conv1(x))
#
# they let the two convolutions learn only the *difference* from x:
#
#     y = x + conv2(conv1(x))
#
# If the best thing is to do nothing, the weights can go to zero, and x walks
# straight through. In code that is one line:


# %%
class ResBlock(nn.Module):
    def __init__(self, nf):
        super().__init__()
        self.conv1 = nn.conv_layer(nf, nf)
        self.conv2 = nn.conv_layer(nf, nf)

    def forward(self, x):
        return x + self.conv2(self.conv1(x))


# %% [markdown]
# It is worth a moment to see why the gradient likes this. If y = x + f(x), the
# chain rule gives dL/dx = dL/dy + f′ᵀ·dL/dy. Whatever f′ does to the second part,
# the first arrives unchanged. Let us look: a chain of 20 layers whose weights are
# small, without and with the sum, and how much gradient reaches its beginning. At
# the end of the chain the gradient is 1 everywhere, which makes a norm of 16.

# %%
chain = [nn.Linear(32, 32) for _ in range(20)]
for layer in chain:
    layer.weight.data *= 0.2
for residual in (False, True):
    x = mt.randn(8, 32, requires_grad=True)
    y = x
    for layer in chain:
        y = y + layer(y).relu() if residual else layer(y).relu()
    (gradient,) = mt.grad(y.sum(), x)
    size = (gradient * gradient).sum().sqrt().item()
    print(f"{'with' if residual else 'without'} the sum: gradient norm {size:.3g}")

# %% [markdown]
# ### The same block from parts
#
# Writing a class for every block that merges something is tedious. `SequentialEx`
# is a `Sequential` that remembers what came in, and `MergeLayer` adds it to what
# arrives. With `dense=True` it concatenates the two instead of adding them, and a
# block becomes one of a *DenseNet*: more channels after every block, more memory,
# few parameters, good on small data sets.
#
# `res_block` is the library's own. Here they are side by side, with the weights of
# one copied into the others. They compute the same.

# %%
by_hand = ResBlock(8)
from_parts = nn.SequentialEx(nn.conv_layer(8, 8), nn.conv_layer(8, 8), nn.MergeLayer())
ready = nn.res_block(8)
weights = [t.data for t in by_hand.state_dict().values()]
for block in (from_parts, ready):
    block.load_state_dict(dict(zip(block.state_dict(), weights, strict=True)))
x = mt.randn(4, 8, 14, 14)
same = [(block(x) - by_hand(x)).abs().max().item() for block in (from_parts, ready)]
print("differences:", same)
print("dense:", nn.res_block(8, dense=True)(x).shape)

# %% [markdown]
# ## The ResNet
#
# After each stride-2 layer but the last, a residual block.


# %%
def conv_and_res(ni, nf):
    return nn.Sequential(conv2(ni, nf), nn.res_block(nf))


mt.manual_seed(options.seed)
model = nn.Sequential(
    conv_and_res(1, 8),
    conv_and_res(8, 16),
    conv_and_res(16, 32),
    conv_and_res(32, 16),
    conv2(16, 10),
    nn.Flatten(),
)
learn = learner(model)
summary = learn.summary()
print(f"{len(summary.rows)} rows, {summary.total:,} parameters")

# %%
learn.lr_find(end_lr=100)
lesson.show(learn.recorder.plot(), options, "6_lr_find_resnet")

# %%
acc = train(learn, "resnet", 12, 0.05)
lesson.beside_published(
    options,
    "ResNet-ish",
    acc,
    [("the lesson, 12 epochs", 0.9954), ("its later notebook", 0.9952)],
)
lesson.show(learn.recorder.plot_metrics(), options, "7_accuracy")

# %% [markdown]
# The published figures are single runs without a fixed seed. Over several seeds
# they spread; `benchmarks/mnist_accuracy.py` measures how far, and its table is in
# the README.
#
# ## The digits it gets wrong
#
# A figure of 99.5 % says little about what is left. So look at it.

# %%
print("most confused (digit, taken for, how often):")
for row in learn.most_confused(min_val=2)[:8]:
    print("   ", row)
lesson.show(learn.plot_confusion_matrix(), options, "8_confusion")
lesson.show(learn.plot_top_losses(16), options, "9_top_losses")

# %% [markdown]
# Some of these you would get wrong too.
#
# ## One digit, all the way
#
# `predict` takes one picture and gives the class, its number, and all ten
# probabilities.

# %%
name, number, probabilities = learn.predict(data.valid_ds.x[0])
print(f"predicted {name}; it is {data.valid_ds[0][1]}")
print("probabilities:", " ".join(f"{p:.4f}" for p in probabilities))

# %% [markdown]
# ## What the library does
#
# | here | there |
# |---|---|
# | `nn.conv_layer` | `minitorch7/nn/blocks.py:22` `conv_layer` |
# | `nn.res_block` | `minitorch7/nn/blocks.py:93` `res_block` |
# | `SequentialEx` | `minitorch7/nn/containers.py:105` `SequentialEx` |
# | `MergeLayer` | `minitorch7/nn/containers.py:76` `MergeLayer` |
# | convolution | `minitorch7/functional/convolution.py:30` `Conv2d` |
# | its gradients | `minitorch7/functional/convolution.py:105` `Conv2dGrads` |
# | as a matrix product | `minitorch7/kernels/convolution.py:68` `conv2d` |
# | windows as columns | `minitorch7/kernels/columns.py:48` `im2col` |
# | batch norm | `minitorch7/functional/normalisation.py:28` `BatchNorm` |
# | its gradient | `minitorch7/functional/normalisation.py:51` `BatchNormGrad` |
# | cross entropy | `minitorch7/functional/losses.py:67` `CrossEntropy` |
# | Kaiming's start | `minitorch7/nn/init.py:91` `kaiming_normal_` |
# | the walk backward | `minitorch7/autograd/walk.py:18` `Walk` |
# | Adam, true weight decay | `minitorch7/optim/optimizer.py:345` `AdamW` |
# | one cycle | `minitorch7/optim/schedules.py:32` `OneCycle` |
# | `lr_find` | `minitorch7/learner/schedule.py:38` `LRFinder` |
# | the training loop | `minitorch7/learner/learner.py:39` `Learner` |
# | the smoothed loss | `minitorch7/learner/recorder.py:22` `SmoothedLoss` |
# | `rand_pad` | `minitorch7/data/transforms.py:153` `rand_pad` |
#
# (Delete one line of `BatchNormGrad`, run `python -m minitorch7.gradcheck norm`, and
# see what finite differences say of it. Then put it back.)
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/03_resnet_mnist.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("3.1", your_answer)
#
# **3.1** Write `parameters(ni, nf, ks, norm)`: how many numbers
# `nn.conv_layer(ni, nf, ks)` learns, with a batch norm (`norm` is `True`) and without
# (`norm_type=None`). No layer may be built for it.
#
# **3.2** Write `batch_norm(x, gamma, beta)` as it is while training, for NumPy arrays:
# `x` is (N, C, H, W), `gamma` and `beta` have a number for each channel, and ε is 1e-5.
# Which of the four axes does the mean run over?
#
# **3.3** Write `rate(k, n, top)`: the learning rate of batch `k` = 0, 1, … of `n` in
# one cycle. It climbs from `top`/25 to `top` in the first ⌊0.3·n⌋ batches, and in the
# rest it goes down to `top`/250,000; each way is half a cosine.
#
# **3.4** Write `smoothed(losses)`: for the list of all batches' losses the list of the
# running ones, as in the second column of the training's table.
#
# **3.5** If the best thing is to do nothing, said the text, the weights can go to zero.
# Which ones? Write `do_nothing(block)`, which changes as few weights as it can of a
# trained `nn.res_block`, in place, so that what comes out is what went in: while
# training and in evaluation.
#
# **3.6** Put `dense=True` into `conv_and_res`. Which layer complains, and why? Write
# `dense_net()`, which returns the lesson's ResNet with four dense blocks in place of
# the residual ones, all other layers with as many channels out as before.
#
# And without a check, because the answer is a training run:
#
# - Train the network of 3.6. It has more parameters than the ResNet: are they worth it?
# - Take the sum out of `ResBlock` and train it in place of `res_block`. On a net this
#   shallow, how much is lost? Lesson 4 makes it deeper.
# - Leave out `rand_pad`. Watch the training and the validation loss part.
# - Train with `fit` at a constant rate of 0.05 for 12 epochs, and compare.
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7. He, Zhang, Ren, Sun,
# *Deep residual learning for image recognition* (arXiv 1512.03385). Huang, Liu, van
# der Maaten, Weinberger, *Densely connected convolutional networks* (1608.06993).
# Ioffe, Szegedy, *Batch normalization* (1502.03167). Smith, *A disciplined approach
# to neural network hyper-parameters* (1803.09820).
