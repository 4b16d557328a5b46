# %% [markdown]
# # 8. Pictures from noise: the Wasserstein GAN
#
# A hundred random numbers go in, and a handwritten 7 comes out that nobody ever
# wrote. No digit is ever shown to the network that draws it. It learns from a second
# network only, the *critic*, which sees real digits and drawn ones and says how far
# apart they are. At the end of this lesson you can train such a pair, say why the
# obvious measure of "how far" fails and what a Wasserstein GAN measures instead, keep
# its critic honest in two ways, and put a number on whether drawn digits are any good.
#
# It follows fast.ai's 2019 notebook `lesson7-wgan`:
#
#     python lessons/08_wgan.py            # all of it: 35 minutes on two cores
#     python lessons/08_wgan.py --quick    # a taste, in about a minute
#     python lessons/08_wgan.py --backend cupy   # larger networks, more epochs
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
from functools import partial
from itertools import pairwise

import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, optim, plot
from minitorch7.data import GANItemList, noop
from minitorch7.learner import Callback, Learner, accuracy
from minitorch7.vision import (
    GANLearner,
    ProgressPictures,
    basic_critic,
    basic_generator,
    gif_of,
    row_of,
)

options = lesson.options_of(
    "Lesson 8: a Wasserstein GAN draws digits, and tries its hand at pets.",
    "out/08_wgan",
)
on_gpu = mt.backend.active() == "cupy" and not options.quick

# %% [markdown]
# ## Noise in, digits wanted
#
# The data block again, the other way round. An item is a digit, but it is the
# *label*; the input is noise, drawn anew each time. So `label_from_func(noop)`: each
# picture is its own label. There is nothing to validate on, hence `split_none`.
#
# Digits are made 32 pixels large, since the networks double and halve, and 28 is no
# power of two. Their scale is [−1, 1], where the generator's last layer, a tanh,
# ends.

# %%
photos = lesson.photos(options)  # for the end
digits = lesson.digits(options)
train_digits = digits.split_by_folder("training", "testing").train
if options.quick:
    train_digits = train_digits[:: max(1, len(train_digits) // 2048)]
items = GANItemList.from_pictures(train_digits, noise_sz=100)
sets = items.split_none().label_from_func(noop).transform(size=(32, 32))
HALF = ([0.5], [0.5])
data = sets.databunch(bs=64, seed=options.seed)
data.normalize(HALF, do_x=False, do_y=True)
noise, real = data.one_batch()
print("noise:", noise.shape, " pictures:", real.shape)
print(f"pictures from {real.min().item():.0f} to {real.max().item():.0f}")
lesson.show(data.show_batch(rows=5), options, "1_real")

# %% [markdown]
# ## How far apart are two piles?
#
# Think of digits as points. There is a pile of real ones and a pile of drawn ones,
# and the generator wants to move its pile onto the other. So it needs to know how far
# that is, and in which direction to go.
#
# Here is the simplest case: all real points lie at 0, all drawn ones at θ. The
# classical GAN asks a critic to tell the two apart, which amounts to the
# *Jensen-Shannon divergence* of the piles. It is ln 2 wherever θ is not 0: the piles
# do not overlap, so the critic is always right. No slope, no direction. The
# *Wasserstein distance* asks how far the earth has to be carried to make one pile of
# the other: |θ|. It has a slope everywhere.

# %%
theta = np.linspace(-1, 1, 201)
jensen = np.where(np.isclose(theta, 0), 0, np.log(2))
lesson.show(
    plot.curves(
        theta,
        {"Jensen-Shannon divergence": jensen, "Wasserstein distance": abs(theta)},
        xlabel="θ, where the drawn points lie",
    ),
    options,
    "2_distances",
)

# %% [markdown]
# It can be computed by a network (Kantorovich and Rubinstein): among all functions C
# whose slope is nowhere above 1, take the one for which the mean of C on one pile and
# the mean of C on the other are furthest apart. That difference *is* the distance.
# So train a critic to
#
# $$\text{minimise} \quad \text{mean}\, C(\text{real}) - \text{mean}\, C(\text{fake})$$
#
# and keep it from being steep. (In fastai's signs real pictures get *low* scores; the
# paper has it the other way round, which is the same game.) Two points suffice to see
# it happen. The critic is a small network, its weights are clipped to ±0.3, and the
# piles are 1 apart, then 2.

# %%
for gap in (1.0, 2.0):
    mt.manual_seed(options.seed)
    critic = nn.Sequential(nn.Linear(1, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
    adam = optim.Adam(critic.parameters(), lr=1e-2)
    for _ in range(200):
        real_point, fake_point = mt.zeros(1, 1), mt.full((1, 1), gap)
        loss = critic(real_point).mean() - critic(fake_point).mean()
        loss.backward()
        adam.step()
        adam.zero_grad()
        for p in critic.parameters():
            p.data[...] = p.data.clip(-0.3, 0.3)
    print(f"{gap:.0f} apart: the critic says {-loss.item():.2f}")

# %% [markdown]
# Twice as far, about twice the number. The unit is arbitrary, because nobody knows
# exactly how steep a clipped network can be. It does not matter for a direction.
#
# ## Two networks
#
# Both are the DCGAN's (Radford and others, 2015). The generator begins with the noise
# as a picture of one pixel and 100 channels. A *transposed* convolution makes 4 by 4
# pixels of it, and others double: 8, 16, 32 (lesson 5 has how they work). The critic
# goes the other way down to one number, and takes its mean over the batch.

# %%
nf = 64 if on_gpu else 16 if options.quick else 32
for side, channels, extra in ((64, 3, 1), (32, 1, 0)):
    sizes = (side, channels)
    two = [
        basic_generator(*sizes, n_extra_layers=extra),
        basic_critic(*sizes, n_extra_layers=extra),
    ]
    counts = [sum(p.numel() for p in network.parameters()) for network in two]
    print(f"{side} pixels: generator {counts[0]:,}, critic {counts[1]:,} parameters")

mt.manual_seed(options.seed)
generator = basic_generator(32, 1, noise_sz=100, n_features=nf)
critic = basic_critic(32, 1, n_features=nf)
print("noise", noise.shape, "→", generator(noise).shape, "→", critic(real).shape)
ours = [sum(p.numel() for p in net.parameters()) for net in (generator, critic)]
print(f"with {nf} features: generator {ours[0]:,}, critic {ours[1]:,} parameters")

# %% [markdown]
# (The first line is the lesson's pair for bedrooms of 64 pixels. The second is that for
# our digits with 64 features; on two cores we take 32, less than a third of the
# weights.)
#
# ## Training
#
# `GANLearner.wgan` clips the critic's weights to ±0.01 after each of its steps. It
# gives the critic five batches for each batch of the generator: a direction is only
# worth following if the critic has understood what the generator does *now*. Adam
# runs without momentum, since the goal moves.
#
# We keep an eye on the clipping, in every single batch, and on what the same 64 noises
# become.


# %%
class Steepest(Callback):
    """The largest weight that the critic has had after any batch of the fit."""

    largest = 0.0

    def on_batch_end(self):
        critic = self.learn.model.critic
        now = max(p.abs().max().item() for p in critic.parameters())
        self.largest = max(self.largest, now)

    def state_dict(self):  # so that a checkpoint knows
        return {"largest": self.largest}

    def load_state_dict(self, state):
        self.largest = state["largest"]


steepest, fixed = Steepest(), mt.randn(64, 100, 1, 1)
frames = options.out / "progress"
progress = ProgressPictures(fixed, frames, rows=8, restart=options.restart)
wgan = partial(  # what the three trainings of this lesson have in common
    GANLearner.wgan,
    switch_eval=False,
    show_img=False,
    opt_func=partial(optim.AdamW, betas=(0.0, 0.99)),
    wd=0.0,
    path=options.out,
)
learn = wgan(data, generator, critic, callbacks=[steepest, progress])
learn.fit(
    lesson.epochs_of(options, 40 if on_gpu else 24, taste=8),
    2e-4,
    checkpoint="digits",
    checkpoint_every=200,
    restart=options.restart,
)
trainer = learn.gan_trainer

# %% [markdown]
# Was it as specified? Five critic, one generator, and never a weight beyond 0.01:

# %%
turns = trainer.log
print("the first batches:", " ".join(turn[0] for turn in turns[:18]))
count = {name: turns.count(name) for name in ("critic", "generator")}
print(f"batches: {count['critic']:,} critic, {count['generator']:,} generator")
print(f"the critic's largest weight after any batch: {steepest.largest:.4f}")

# %% [markdown]
# The distance, as the critic sees it: it grows while the critic wakes up, then falls,
# because the generator's pile moves. That curve is what the classical GAN does not
# have. Its losses say nothing; this one goes down when the pictures get better.

# %%
by_critic = np.array([turn == "critic" for turn in turns])
distance = -np.array(trainer.disc_losses)
at = np.flatnonzero(by_critic)
lesson.show(
    plot.curves(at, {"distance": distance}, "Batches processed", "as the critic says"),
    options,
    "3_distance",
)
top, end = distance[: len(distance) // 2].max(), distance[-1]
print(f"the distance: {top:.3f} at its highest, {end:.3f} at the end")

# %% [markdown]
# And what 64 noises became, epoch by epoch. There is a film of it, too.

# %%
with lesson.once():
    print("row:", row_of(frames, options.out / "4_progress.png", n=4))
    print("film:", gif_of(frames, options.out / "progress.gif"))


# %%
def drawn(learn, n):
    """n pictures that the generator draws of new noise, (n, C, H, W) in [0, 1]."""
    with learn.model.generating(), nn.evaluating(learn.model), mt.no_grad():
        parts = [learn.model(mt.randn(100, 100, 1, 1)) for _ in range(-(-n // 100))]
    return np.concatenate([learn.images_of(part) for part in parts])[:n]


samples = drawn(learn, 1000)
lesson.show(plot.image_grid(samples[:64], rows=8, cols=8), options, "5_samples")

# %% [markdown]
# ## Are they digits?
#
# You have looked, and that is the best test there is. But one would like a number.
# So we ask a classifier that has only ever seen real digits: how sure are you what
# this is? It is the refactored network of lesson 3. Sure means, the largest of its
# ten probabilities. For comparison, real digits that it has not seen, and noise of
# the same brightness.
#
# Being sure is not enough. A generator that draws the same beautiful 1 a thousand times
# should not win, and a classifier that has never seen anything but digits is sure of
# many things: all noise is a 5, say. So there is a second number, the *inception
# score* (Salimans and others, 2016). It asks how much each answer differs from the
# average answer, exp(mean KL(answer ‖ average)): 1 if all answers are alike, 10 if each
# is sure and all ten digits are equally frequent.

# %%
labelled = digits.split_by_folder("training", "testing").label_from_folder()
if options.quick:
    labelled.train, labelled.valid = labelled.train[::15], labelled.valid[::20]
judged = labelled.transform(size=(32, 32)).databunch(bs=128, seed=options.seed)
judged.normalize(HALF)
mt.manual_seed(options.seed)
widths = [1, 8, 16, 32, 16, 10]
judge = nn.Sequential(*[nn.conv_layer(*pair, stride=2) for pair in pairwise(widths)])
judge.append(nn.Flatten())
learn_judge = Learner(judged, judge, metrics=accuracy, path=options.out)
learn_judge.fit_one_cycle(
    lesson.epochs_of(options, 3),
    0.1,
    checkpoint="judge",
    restart=options.restart,
)
right = learn_judge.recorder.metrics[-1][0]
print(f"the judge is right about {right:.1%} of digits that it has not seen")


# %%
def judged_by(pictures):
    """(how sure the judge is of each, what it takes it for, the inception score)."""
    found = []
    with nn.evaluating(judge), mt.no_grad():
        for part in np.array_split(np.float32(pictures), -(-len(pictures) // 500)):
            found.append(F.softmax(judge(mt.tensor(2 * part - 1)), dim=1).cpu().numpy())
    answers = np.concatenate(found).astype(float) + 1e-12  # (n, 10)
    differ = (answers * np.log(answers / answers.mean(0))).sum(1)
    return answers.max(1), answers.argmax(1), np.exp(differ.mean())


unseen = [judged.denorm(x).cpu().numpy() for x, _ in judged.valid_dl.batches(0)]
unseen = np.concatenate(unseen)
unseen = unseen[:: max(1, len(unseen) // 1000)][:1000]  # they are sorted by class
rng = np.random.default_rng(options.seed)
shuffled = rng.permuted(unseen.reshape(len(unseen), -1), axis=1).reshape(unseen.shape)
judged_ones = {
    "real digits": unseen,
    "drawn by the generator": samples,
    "real digits' pixels, mixed": shuffled,
}
print(f"{'':<28}{'how sure':>10}{'over 0.9':>10}{'score':>8}")
for name, pictures in judged_ones.items():
    sure, _, score = judged_by(pictures)
    print(f"{name:<28}{sure.mean():10.3f}{(sure > 0.9).mean():10.1%}{score:8.2f}")
_, classes, _ = judged_by(samples)
shares = np.bincount(classes, minlength=10) / len(classes)
lesson.show(
    plot.bar_chart([str(k) for k in range(10)], shares.tolist(), xlabel="share drawn"),
    options,
    "6_classes",
)

# %% [markdown]
# Some must lie between two digits: the generator is continuous, and on the way
# from the noise of a 3 to the noise of an 8 it must draw something. Here are six
# such ways, from left to right.

# %%
ends = mt.randn(2, 6, 100, 1, 1).cpu().numpy()
turn = np.linspace(0, np.pi / 2, 10, dtype=np.float32)[:, None, None, None]
# along a circle, not a line: in the middle, too, it is to be as long as noise is
path = np.cos(turn) * ends[0][:, None] + np.sin(turn) * ends[1][:, None]
with learn.model.generating(), nn.evaluating(learn.model), mt.no_grad():
    walk = learn.images_of(learn.model(mt.tensor(path.reshape(60, 100, 1, 1))))
lesson.show(plot.image_grid(walk, rows=6, cols=10), options, "7_between")

# %% [markdown]
# ## Without clipping
#
# Clipping is crude. A critic whose weights all lie within ±0.01 cannot be very wise,
# and two in five end up at one of the two limits. Gulrajani and others (2017)
# ask for what the theory wants: a slope of 1. Take points between real and drawn
# pictures, look at the critic's gradient *there*, and punish the difference of its
# length from 1:
#
# $$10 \cdot \text{mean}\,(\|\nabla_{\hat x} C(\hat x)\| - 1)^2$$
#
# To learn from that, one needs the gradient of a gradient. Here that costs nothing
# to write: every backward of this library is made of operations that have a backward.
# The critic may hold no batch norm now, for that would couple the pictures of a batch.

# %%
free = basic_critic(32, 1, n_features=nf, norm_type=None)
spread = {"clipped": critic, "new, and free": free}
for name, network in spread.items():
    weights = [p.detach().numpy().ravel() for p in network.parameters()]
    weights = np.concatenate(weights)
    limit = abs(weights).max()
    print(
        f"{name}: {np.mean(abs(weights) > 0.99 * limit):.1%} of the weights are within "
        f"a hundredth of the largest, {limit:.3f}"
    )

mt.manual_seed(options.seed)
learn_free = wgan(
    data,
    basic_generator(32, 1, noise_sz=100, n_features=nf),
    free,
    gradient_penalty=10.0,
)
learn_free.fit(
    lesson.epochs_of(options, 40 if on_gpu else 3, taste=1),
    2e-4,
    checkpoint="digits_penalty",
    checkpoint_every=200,
    restart=options.restart,
)
others = drawn(learn_free, 1000)
lesson.show(plot.image_grid(others[:64], rows=8, cols=8), options, "8_penalty")
sure, _, score = judged_by(others)
print(f"how sure: {sure.mean():.3f}, over 0.9: {(sure > 0.9).mean():.1%}", end=", ")
print(f"score: {score:.2f}")

# %% [markdown]
# On two cores it has had 3 epochs, and the clipped one 24, so the scores do not say
# which is better. What the clipped one drew after 3 is `progress/epoch_003.png`.
#
# ## Photos
#
# The lesson drew bedrooms: a fifth of the LSUN collection, 64 pixels, 30 epochs, two
# hours on a GPU. We have pets, 300 of them, and some minutes. Do not expect pets. What
# can be seen is that everything works in colour and at 64 pixels, that the distance
# falls, and what a generator learns first: large patches of light and dark, in the
# browns and greys that pets have.

# %%
side = 32 if options.quick else 64
sets = GANItemList.from_folder(photos, noise_sz=100).split_none()
sets = sets.label_from_func(noop).transform(size=side)
data = sets.databunch(bs=16 if options.quick else 32, seed=options.seed)
data.normalize(([0.5] * 3, [0.5] * 3), do_x=False, do_y=True)
extra, nf_photos = (1, 64) if on_gpu else (0, 16)
mt.manual_seed(options.seed)
learn_photos = wgan(
    data,
    basic_generator(side, 3, noise_sz=100, n_features=nf_photos, n_extra_layers=extra),
    basic_critic(side, 3, n_features=nf_photos, n_extra_layers=extra),
)
learn_photos.fit(
    lesson.epochs_of(options, 600 if on_gpu else 360, taste=6),
    2e-4,
    checkpoint="photos",
    checkpoint_every=200,
    restart=options.restart,
)
distance = -np.array(learn_photos.gan_trainer.disc_losses)
batches = np.arange(len(distance))
figure = plot.curves(batches, {"distance": distance}, "the critic's batches")
lesson.show(figure, options, "9_distance_photos")
print(f"the distance: {distance.max():.3f} at its highest, {distance[-1]:.3f} at last")
figure = plot.image_grid(drawn(learn_photos, 32), rows=4, cols=8)
lesson.show(figure, options, "10_photos")

# %% [markdown]
# ## What the library does
#
# | here | there |
# |---|---|
# | `basic_generator` | `minitorch7/vision/gan_models.py:125` `basic_generator` |
# | `basic_critic` | `minitorch7/vision/gan_models.py:76` `basic_critic` |
# | transposed | `minitorch7/functional/convolution.py:189` `conv_transpose2d` |
# | the critic minimises | `minitorch7/vision/gan_losses.py:146` `WassersteinLoss` |
# | and the generator | `minitorch7/vision/gan_losses.py:139` `NoopLoss` |
# | gradient penalty | `minitorch7/vision/gan_losses.py:156` `gradient_penalty` |
# | a gradient's gradient | `minitorch7/autograd/walk.py:183` `grad` |
# | of a convolution | `minitorch7/functional/convolution.py:105` `Conv2dGrads` |
# | `GANLearner.wgan` | `minitorch7/vision/gan.py:134` `wgan` |
# | which network is in training | `minitorch7/vision/gan_module.py:15` `GANModule` |
# | five to one | `minitorch7/vision/gan_switchers.py:42` `FixedGANSwitcher` |
# | clipping, the table's columns | `minitorch7/vision/gan_trainer.py:16` `GANTrainer` |
# | noise as input | `minitorch7/data/noise.py:86` `GANItemList` |
# | row and film | `minitorch7/vision/progress_pictures.py:43` `ProgressPictures` |
#
# ## Try it
#
# Write your answer in a cell below, or in `python -i lessons/08_wgan.py --quick`, and
# ask whether it is right:
#
#     from exercises import check
#     check("8.1", your_answer)
#
# **8.1** Write `distance(a, b)`: the Wasserstein distance of two piles on a line, two
# arrays of equally many points. Each grain of the one is carried to a place of the
# other: which carrying is the cheapest?
#
# **8.2** Write `losses(real, fake)`: from the critic's scores of real and of drawn
# pictures, two arrays, the pair (the critic's loss, the generator's). Mind the signs,
# fastai's: both networks make theirs as small as they can.
#
# **8.3** How steep can a clipped network be? Of the small critic above one can know: it
# has n = 16 hidden units, and its weights are within c = 0.3. Write `says(gap, n, c)`:
# the most that such a critic can say of points `gap` apart. Then look at what it said.
#
# **8.4** Write `penalty(w)`: the gradient penalty, times 10, of the critic C(x) = Σ w·x
# + b, for any pictures. Why does it not depend on them?
#
# **8.5** Write `score(shares)`: the inception score of a generator whose pictures the
# judge is always sure of, if the classes come with these shares (a list that adds up to
# 1; none is 0). What does it say of ones and sevens only, with three times as many
# ones?
#
# **8.6** Write `parameters(side, channels, nf)`: how many numbers
# `basic_generator(side, channels, n_features=nf)` learns, with 100 of noise. The last
# layer but one has nf channels, and each one before it twice as many.
#
# And without a check, because the answer is a training run. A training that is done is
# kept, and one with other arguments is refused under its name: choose another `--out`,
# or pass `--restart`.
#
# - Clip at 0.1, then at 0.001. What happens to the distance, and to the digits?
# - One critic batch for each generator batch: `switcher=FixedGANSwitcher(1, 1)`. Then
#   give Adam its momentum back, `betas=(0.9, 0.99)`.
# - Only ones and sevens: `train_digits[...]`. Does the generator draw something between
#   them less often?
# - The judge can be fooled. Start from noise that requires a gradient, and climb the
#   judge's score for a 3 with `mt.grad`, without any generator. How sure is it in the
#   end, and what does the picture look like?
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7, and its notebook
# lesson7-wgan. Goodfellow and others, *Generative adversarial networks* (arXiv
# 1406.2661). Arjovsky, Chintala, Bottou, *Wasserstein GAN* (1701.07875). Gulrajani
# and others, *Improved training of Wasserstein GANs* (1704.00028). Radford, Metz,
# Chintala, *Unsupervised representation learning with DCGANs* (1511.06434). Salimans
# and others, *Improved techniques for training GANs* (1606.03498). LeCun, Cortes,
# Burges: MNIST.
