# %% [markdown]
# # 7. Mending photos: a pretrained GAN
#
# Somebody has sent you a photo that is too small, saved with the worst setting there
# is, and with a number written across it. Give it back as it was. Much of what was
# there is gone, so whoever mends it must know what photos look like: what fur is,
# and that an eye has an edge. At the end of this lesson you can train a network to do
# it, and a second one to judge it, set the two against each other, and measure what
# each of the two trainings is good for.
#
# Spoiling photos is easy, and that is all the data we need: we spoil good ones, and
# a network learns to undo it. It will be told twice how well it does: first by the
# squared error, which makes it careful and blurred, and then by another network, a
# *critic* that tries to tell its pictures from real ones.
#
# It follows fast.ai's 2019 notebook `lesson7-superres-gan`:
#
#     python lessons/07_superres_gan.py            # all of it: 22 minutes on two cores
#     python lessons/07_superres_gan.py --quick    # a taste, in about a minute
#     python lessons/07_superres_gan.py --backend cupy   # the lesson's, at 128 pixels
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
from functools import partial

import numpy as np
from PIL import Image

import lesson
import minitorch7 as mt
from minitorch7 import nn, optim, plot
from minitorch7.data import (
    FlipLR,
    ImageImageList,
    ImageList,
    RandomCrop,
    get_transforms,
    imagenet_stats,
)
from minitorch7.data.photos import upright_size
from minitorch7.learner import PSNR, SSIM, Learner, psnr, sharpness, ssim
from minitorch7.nn import NormType
from minitorch7.vision import (
    AdaptiveGANSwitcher,
    AdaptiveLoss,
    GANDiscriminativeLR,
    GANLearner,
    ProgressPictures,
    accuracy_thresh_expand,
    before_after,
    crappify,
    degrade_folder,
    gan_critic,
    gif_of,
    load_restorer,
    resnet18,
    resnet34,
    row_of,
    save_preds,
    save_restorer,
    unet_learner,
)

options = lesson.options_of(
    "Lesson 7: a U-Net that mends photos, and a critic that is hard to please.",
    "out/07_superres_gan",
)
on_gpu = mt.backend.active() == "cupy" and not options.quick

# %% [markdown]
# ## Spoiling photos
#
# The photos are of cats and dogs. The lesson calls what it does to them *crappify*:
# make the shorter side 96 pixels, write a number from 10 to 70 somewhere into the
# upper left, and save as a JPEG whose quality is that number. Since the number says
# how badly the photo was treated, one can read off the result how hard it was.
#
# On a GPU we do as the lesson does. Two cores get something smaller, harder and
# faster: photos of 64 pixels are to become photos of 128, twice as many each way.

# %%
photos = lesson.photos(options)
if on_gpu:
    small, size, crop, bs, copies = 96, 128, None, 32, 1
elif options.quick:
    small, size, crop, bs, copies = 32, 64, None, 8, 1
else:
    small, size, crop, bs, copies = 64, 128, 96, 16, 4
crappy = options.out / f"crappy_{small}"
recipes = [crappify(crappy / f"{k}", photos, size=small, seed=k) for k in range(copies)]
for one in recipes:
    with lesson.once():
        print(degrade_folder(photos, one.path_lr, crappify, size=small, seed=one.seed))

# %% [markdown]
# It runs on all cores, goes on where it was stopped, and never touches an original.
# What it draws depends on the photo's name and a seed alone, so everybody who does
# this has the same pictures.
#
# The lesson has 7,390 photos. On two cores we take 300, and spoiling costs nothing. So
# each is spoiled four times, with four numbers in four places. What must not
# happen is that a photo is in both sets, once with a 30 on it and once with a 50. So
# it is the photos that are split, a tenth for validation, and each of those is taken
# once.
#
# The chain is that of lesson 6, with pictures where the masks were: an item is a
# spoiled photo, its label the photo. Both come out 128 pixels large, so the network
# need not enlarge anything. It is given a blurred picture of the right size.
#
# Whatever is done to the one must be done to the other: `tfm_y=True`. The lesson lets
# `get_transforms(max_zoom=2.)` zoom into the photo. Here, that would enlarge
# originals too, and an original that is blurred is no example of sharpness. So on two
# cores we cut a random 96 by 96 pixels out of the 128, which is a zoom that loses
# nothing, and mirror. (On a GPU we zoom all the same, for the lesson's figures.)

# %%
split = ImageList.from_folder(photos).split_by_rand_pct(0.1, seed=42)
first, last = recipes[0], recipes[-1]  # a broken photo has not become a spoiled one
learned, kept = (
    [photo for photo in part.items if last.destination(photo).exists()]
    for part in (split.train, split.valid)
)
if not kept:
    raise SystemExit("--data: needs 10 photos or more, a tenth of them for validation")
spoiled = [one.destination(photo) for one in recipes for photo in learned]
for_valid = [first.destination(photo) for photo in kept]
items = ImageImageList.from_files([*spoiled, *for_valid], crappy)
sets = items.split_by_idx(range(len(spoiled), len(items)))
sets = sets.label_from_func(
    lambda file: recipes[int(file.relative_to(crappy).parts[0])].original_of(file)
)
vary = ([FlipLR()] if crop is None else [FlipLR(), RandomCrop(crop)], [])
vary = get_transforms(max_zoom=2.0) if on_gpu else vary
sets = sets.transform(vary, size=size, tfm_y=True)
data = sets.databunch(bs=bs, seed=options.seed).normalize(imagenet_stats, do_y=True)
print(data.train_ds)
lesson.show(data.show_batch(rows=3), options, "1_pairs")

# %% [markdown]
# ### How good is doing nothing?
#
# A score means nothing alone, so here are two that cost nothing: the spoiled photo
# as it is, and the same enlarged more carefully, by cubic curves (*bicubic*). Three
# measures, on photos that are kept from the training:
#
# * **PSNR**, the squared error in decibels: $10 \log_{10}(1 / \text{error})$. Ten
#   times less error is 10 dB more, and 1 dB more is a fifth less error.
# * **SSIM** compares contrast and structure in windows of 11 by 11 pixels. Equal
#   pictures have 1.
# * **Sharpness**: how steep brightness is, $\sqrt{\text{mean}(g_x^2 + g_y^2)}$. It
#   does not look at the original, and a good answer has what the original has.


# %%
def all_of(loader):
    """(inputs, originals) of a loader, as arrays in [0, 1]."""
    batches = [(data.denorm(x), data.denorm_y(y)) for x, y in loader.batches(0)]
    sides = zip(*[(x.cpu().numpy(), y.cpu().numpy()) for x, y in batches], strict=True)
    return [np.clip(np.concatenate(side), 0, 1) for side in sides]


def on_grid(picture, original, how):
    """A small picture on the pixels that its original has in the validation set."""
    width, height = upright_size(original)
    shape = sets.size.before_crop(height, width)
    large = np.asarray(picture.resize(shape[::-1], how))
    return sets.size.cut(np.moveaxis(large, -1, 0) if large.ndim == 3 else large)


pairs = list(zip(data.valid_ds.x.items, data.valid_ds.y.items, strict=True))
inputs, originals = all_of(data.valid_dl)
cubic = [on_grid(Image.open(x), y, Image.Resampling.BICUBIC) for x, y in pairs]
cubic = np.float32(np.stack(cubic)) / 255
numbers = [Image.fromarray(np.uint8(255) * first.number_mask(y)) for _, y in pairs]
linear = Image.Resampling.BILINEAR
inks = zip(numbers, pairs, strict=True)
numbers = [on_grid(ink, original, linear) > 127 for ink, (_, original) in inks]
numbers = np.stack(numbers)[:, None]  # (N, 1, H, W): the pixels of the numbers

# %% [markdown]
# And a fourth measure, for what was written over the photos: how far the brightness
# is off, on the pixels of the numbers alone and on all others.


# %%
def heads():
    """The headings of the table."""
    titles = f"{'PSNR':>8}{'SSIM':>8}{'sharpness':>11}{'off: numbers':>14}{'others':>8}"
    print(" " * 18 + titles)


def report(name, pictures):
    """One line of the table; its PSNR and sharpness."""
    off = np.abs(pictures - originals).mean(1, keepdims=True)  # (N, 1, H, W)
    decibels, sharp = psnr(pictures, originals).mean(), sharpness(pictures).mean()
    each = zip(pictures, originals, strict=True)
    alike = np.mean([ssim(made[None], wanted[None]) for made, wanted in each])
    print(f"{name:<18}{decibels:8.2f}{alike:8.3f}", end="")
    print(f"{sharp:11.4f}{off[numbers].mean():14.3f}{off[~numbers].mean():8.3f}")
    return {"PSNR": decibels, "sharpness": sharp}


heads()
nothing = report("the spoiled photo", inputs)
by_cubes = report("bicubic", cubic)
report("the original", originals)

# %% [markdown]
# On the numbers the spoiled photos are off by a lot: white ink on a brown dog. Bicubic
# is sharper and further off: it keeps JPEG's faults more carefully, too.
#
# ## The generator
#
# The network is the U-Net of lesson 6 with four changes, each with its reason:
#
# * three outputs a pixel: red, green, blue. A sigmoid keeps them between −3 and 3
#   (`y_range`), a little more than what normalised colours need;
# * `blur=True`: averaging after every pixel shuffle but the last, against
#   checkerboards, which the eye sees at once in a photo (lesson 5);
# * **weight norm** on the decoder's convolutions, which had no norm in lesson 6. Batch
#   norm there would put the batch's brightness and contrast in the place of the
#   picture's, and here they must be given back exactly;
# * **self-attention** in one block: each place may look at all others. Fur on the left
#   ear tells what fur on the right ear looked like.
#
# The lesson's body is a ResNet-34 that has seen ImageNet. On two cores it is a
# ResNet-18 of a quarter of the width, and it starts from nothing.

# %%
mt.manual_seed(options.seed)
width = 16
pretrained = on_gpu and lesson.weights_for(resnet34)
learn_gen = unet_learner(
    data,
    resnet34 if on_gpu else partial(resnet18, width=width),
    pretrained=pretrained,
    blur=True,
    norm_type=NormType.Weight,
    self_attention=True,
    y_range=(-3.0, 3.0),
    loss_func=nn.MSELossFlat(),
    metrics=[PSNR(data), SSIM(data)],
    wd=1e-3,
    path=options.out,
)
print(f"{sum(p.numel() for p in learn_gen.model.parameters()):,} parameters")
colours = [(np.array([0, 1]) - m) / s for m, s in zip(*imagenet_stats, strict=True)]
print(f"normalised colours: from {np.min(colours):.2f} to {np.max(colours):.2f}")


# %%
def train(learn, name, epochs, max_lr, taste=2, **cycle):
    """One cycle, kept in a checkpoint: started again, it goes on or is done."""
    learn.fit_one_cycle(
        lesson.epochs_of(options, epochs, taste),
        max_lr=max_lr,
        checkpoint=name,
        restart=options.restart,
        **cycle,
    )


# %% [markdown]
# With a body from ImageNet there are two stages, frozen and not, as in lesson 6. The
# loss is the mean squared error of the normalised colours. The lesson's ended at
# 0.0431, with 6,651 photos and 5 epochs.

# %%
if pretrained:
    train(learn_gen, "generator_frozen", 2, slice(3e-3), pct_start=0.8)
    learn_gen.unfreeze()
    train(learn_gen, "generator", 3, slice(1e-6, 1e-3))
else:
    train(learn_gen, "generator", 20, 3e-3, taste=12)
lesson.show(learn_gen.recorder.plot_losses(skip_start=20), options, "2_generator")


# %%
def answers(learn):
    """The generator's pictures of the validation set, in [0, 1]."""
    made = [learn.pred_batch(b, reconstruct=True) for b in data.valid_dl.batches(0)]
    return np.concatenate(made)


careful = answers(learn_gen)
heads()
report("the spoiled photo", inputs)
report("bicubic", cubic)
by_error = report("squared error", careful)
report("the original", originals)
gain = by_error["PSNR"] - max(nothing["PSNR"], by_cubes["PSNR"])
print(f"against the better of doing nothing and bicubic: {gain:+.2f} dB")

# %% [markdown]
# Of the numbers a shadow is left. Nobody told the network what a number is: white
# strokes that never stand in the originals are an error like any other.

# %%
numbered = numbers.sum((1, 2, 3)).argsort()[::-1][:4]
strips = {"spoiled": inputs, "squared error": careful, "original": originals}
chosen = {name: pictures[numbered] for name, pictures in strips.items()}
lesson.show(before_after(chosen), options, "3_generator")

# %% [markdown]
# But look at the fur. It is as smooth as plastic, and the table agrees: the sharpness
# is well below the original's. The squared error made it so. Where the network
# cannot know on which pixel a hair was, the answer with the least expected error is
# the mean of all hairs that might have been: no hair at all.
#
# ## The critic
#
# So we need a loss that notices missing hair. Writing one down would be hard. But a
# network can learn to tell the generator's pictures from photos, and what it uses to
# tell them is exactly what is wrong with them.
#
# First we save what the generator makes of its *training* photos, under their own
# names. As PNG: a JPEG of 128 pixels has faults that a larger photo no longer has when
# it is made small, and the critic would learn to recognise those.

# %%
made = options.out / "generated"
with lesson.once():
    print(save_preds(learn_gen, made, suffix=".png", restart=options.restart))

# %% [markdown]
# The critic has two classes: 0 is generated and 1 is real. Each photo is there once as
# it was and once as the generator made it, of the first of its spoiled copies. On two
# cores the critic sees cuttings of 64 by 64 pixels, one patch each, which is quicker.

# %%
files = [*sorted((made / "0").rglob("*.png")), *learned]
both = ImageList.from_files(files).split_by_rand_pct(0.1, seed=42)
both = both.label_from_func(
    lambda file: "generated" if file.is_relative_to(made) else "real",
    classes=["generated", "real"],
)
vary_crit = vary if crop is None else ([FlipLR(), RandomCrop(64)], [])
data_crit = both.transform(vary_crit, size=size).databunch(bs=bs, seed=options.seed)
data_crit.normalize(imagenet_stats)
lesson.show(data_crit.show_batch(rows=3), options, "4_generated_or_real")

# %% [markdown]
# `gan_critic` is not an ordinary classifier:
#
# * It does not give one answer a picture but one for each of many overlapping
#   patches: 25 for 128 pixels, 81 for 192. So each patch of the picture has to be
#   convincing. `AdaptiveLoss` compares all of them with the one label.
# * **Spectral norm** divides each weight by its largest singular value. No layer can
#   blow up a small difference, so the critic's opinion has a gentle slope for the
#   generator to walk on, instead of a cliff.
# * Leaky ReLUs, since where a ReLU is dead no gradient gets through to the generator;
#   dropout of whole channels; one dense block (concatenated, not added); attention.

# %%
print("25, 81, 169 answers:", end=" ")
for side in (128, 192, 256):
    with mt.no_grad(), nn.evaluating(critic := gan_critic(nf=8)):
        print(side, "→", critic(mt.zeros(1, 3, side, side)).shape, end="; ")
print(f"\nthe lesson's critic: {sum(p.numel() for p in gan_critic().parameters()):,}")
mt.manual_seed(options.seed + 1)
learn_crit = Learner(
    data_crit,
    gan_critic(nf=128 if on_gpu else 16),
    AdaptiveLoss(nn.BCEWithLogitsLoss()),
    metrics=accuracy_thresh_expand,
    wd=1e-3,
    path=options.out,
)
print(f"this one: {sum(p.numel() for p in learn_crit.model.parameters()):,} parameters")
train(learn_crit, "critic", 6 if on_gpu else 80, 1e-3, taste=5)
accuracy = learn_crit.recorder.metrics[-1][0]
lesson.beside_published(options, "the critic", accuracy, [("the lesson", 0.9762)])

# %% [markdown]
# ## The two against each other
#
# Now the generator is to please the critic, and the critic to see through the new
# generator, in turns. The generator's loss has two parts,
#
# $$L_G = 1 \cdot \text{BCE}(\text{critic}(\text{output}), \text{real}) + 50 \cdot
# \text{MSE}(\text{output}, \text{original})$$
#
# and the 50 brings the second part, about 0.05, up to the size of the first. Without
# the second part the generator would be free to draw any convincing dog instead of
# this one.
#
# Whose turn is it? `AdaptiveGANSwitcher(critic_thresh=0.65)`: the critic trains until
# its loss is below 0.65, then the generator has one batch. A critic that knows
# nothing has a loss of ln 2 = 0.69, and there is no use in asking it.
#
# Two more things differ from an ordinary training. Adam has no momentum (`betas=(0,
# 0.99)`), because the goal moves: yesterday's direction is wrong when the other
# network has stepped. And the critic learns five times faster (`GANDiscriminativeLR`).

# %%
switcher = partial(AdaptiveGANSwitcher, critic_thresh=0.65)
learn = GANLearner.from_learners(
    learn_gen,
    learn_crit,
    weights_gen=(1.0, 50.0),
    switcher=switcher,
    show_img=False,
    opt_func=partial(optim.AdamW, betas=(0.0, 0.99)),
    metrics=[PSNR(data), SSIM(data)],
    wd=1e-3,
    path=options.out,
)
learn.callbacks.append(GANDiscriminativeLR(mult_lr=5.0))
watched = data.valid_dl.batch(0, 0)[0][: 4 if options.quick else 8]
frames = options.out / "progress"
learn.callbacks.append(ProgressPictures(watched, frames, restart=options.restart))
learn.fit(
    lesson.epochs_of(options, 40 if on_gpu else 10, taste=3),
    1e-4,
    checkpoint="gan",
    checkpoint_every=20,
    restart=options.restart,
)

# %% [markdown]
# (gen_loss and disc_loss are each network's own, smoothed. Beware of the tables in the
# lesson's notes: a hidden column pushed every number one place to the right, and what
# is called gen_loss there is the validation loss.)
#
# Did they take turns as they should? After every batch of the generator the critic
# has at least one; after the critic's, the generator follows if and only if the
# critic's loss was below 0.65.

# %%
turns, raw = learn.gan_trainer.log, learn.recorder.raw_losses
good = [loss < 0.65 for loss in raw]
as_specified = all(
    (after == "generator") == (now == "critic" and good[i])
    for i, (now, after) in enumerate(zip(turns, turns[1:], strict=False))
)
count = {name: turns.count(name) for name in ("critic", "generator")}
print(f"batches: {count['critic']} critic, {count['generator']} generator")
print("turns as specified:", as_specified)
print("the last 30:", " ".join(turn[0] for turn in turns[-30:]))

# %% [markdown]
# The losses say little. When the critic gets better, the generator's grows, and the
# other way round. What counts is the pictures.

# %%
trainer = learn.gan_trainer
lines = {"generator": trainer.gen_losses, "critic": trainer.disc_losses}
batches = {name: np.arange(len(losses)) for name, losses in lines.items()}
figure = plot.curves(batches, lines, "Batches of this network", "smoothed loss")
lesson.show(figure, options, "5_gan_losses")
with lesson.once():
    print("row:", row_of(frames, options.out / "6_progress.png", n=4))
    print("film:", gif_of(frames, options.out / "progress.gif"))

# %%
convincing = answers(learn)
heads()
report("the spoiled photo", inputs)
report("bicubic", cubic)
report("squared error", careful)
by_critic = report("with the critic", convincing)
report("the original", originals)
sharper = by_critic["sharpness"] / by_error["sharpness"]
cost = by_error["PSNR"] - by_critic["PSNR"]
print(f"with the critic: {sharper:.2f} times as sharp, for {cost:.2f} dB of PSNR")

# %%
strips = {
    "spoiled": inputs,
    "squared error": careful,
    "with the critic": convincing,
    "original": originals,
}
chosen = {name: pictures[numbered] for name, pictures in strips.items()}
lesson.show(before_after(chosen), options, "7_before_after")
closer = {name: pictures[numbered[:2]] for name, pictures in strips.items()}
lesson.show(before_after(closer, zoom=(0.25, 0.25, 0.4, 0.4)), options, "8_closer")

# %% [markdown]
# That is the bargain. Edges are crisper, and by PSNR it has become worse, as it had to:
# a hair in the wrong place is punished twice, once where it is and once where it should
# be. (By SSIM, on two cores, even worse than the spoiled photo.) Mind what that means.
# The detail is *invented*: it is what photos mostly have there, not what was there.
#
# And look where the numbers were. There the generator knows least, and what it invents
# is coloured speckle. On two cores our critic has a sixty-fourth of the lesson's
# weights and has seen 270 photos, and speckle is good enough for it. A critic is as
# good a judge as it is a pupil.
#
# ## Put to use
#
# A model in a file, with all that is needed to run it: how it is built, its weights,
# its scale. Photos of any size go through it, in tiles if they are large:
#
#     python -m minitorch7.vision.restore photo.jpg --out better.png --enlarge 2 \
#         --model out/07_superres_gan/restorer.safetensors --compare

# %%
arch = {"name": "resnet34"} if on_gpu else {"name": "resnet18", "width": width}
model_file = options.out / "restorer.safetensors"
note = f"lesson 7: photos of {small} pixels, with numbers, JPEG 10 to 70"
with lesson.once():
    save_restorer(learn.model.generator, model_file, arch, imagenet_stats, note)
restorer = load_restorer(model_file)
worst = min(pairs, key=lambda pair: first.number_of(pair[1])[2])[0]
restored = restorer.restore(worst, enlarge=size / small)
restored.save(options.out / "9_restored.png")
print("restored:", Image.open(worst).size, "→", restored.size)

# %% [markdown]
# ## What the library does
#
# | here | there |
# |---|---|
# | spoiling photos | `minitorch7/vision/degrade.py:153` `Crappify` |
# | a folder of them | `minitorch7/vision/degrade_folder.py:41` `degrade_folder` |
# | pictures as labels | `minitorch7/data/image_image.py:101` `ImageImageList` |
# | PSNR | `minitorch7/learner/quality.py:29` `psnr` |
# | SSIM | `minitorch7/learner/quality.py:42` `ssim` |
# | sharpness | `minitorch7/learner/quality.py:78` `sharpness` |
# | g·v/‖v‖ | `minitorch7/nn/reparametrise.py:108` `WeightNorm` |
# | the largest singular value | `minitorch7/nn/reparametrise.py:135` `SpectralNorm` |
# | self-attention | `minitorch7/nn/attention.py:15` `SelfAttention` |
# | `y_range` | `minitorch7/nn/activation.py:103` `SigmoidRange` |
# | `gan_critic` | `minitorch7/vision/gan_models.py:20` `gan_critic` |
# | `AdaptiveLoss` | `minitorch7/vision/gan_losses.py:25` `AdaptiveLoss` |
# | both losses | `minitorch7/vision/gan_losses.py:76` `gan_loss_from_func` |
# | two networks as one | `minitorch7/vision/gan_module.py:15` `GANModule` |
# | `GANLearner` | `minitorch7/vision/gan.py:43` `GANLearner` |
# | taking turns | `minitorch7/vision/gan_trainer.py:16` `GANTrainer` |
# | whose turn it is | `minitorch7/vision/gan_switchers.py:94` `AdaptiveGANSwitcher` |
# | five times faster | `minitorch7/vision/gan_switchers.py:127` `GANDiscriminativeLR` |
# | predictions as files | `minitorch7/vision/save_preds.py:57` `save_preds` |
# | the model in a file | `minitorch7/vision/restorer.py:49` `save_restorer` |
# | large photos in tiles | `minitorch7/vision/restorer.py:149` `Restorer` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/07_superres_gan.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("7.1", your_answer)
#
# **7.1** Write `decibels(made, originals)`: the PSNR of each picture, for arrays (N, C,
# H, W) with white at 1. Why is the mean of these not the PSNR of the mean error?
#
# **7.2** Write `answers(side)`: how many answers `gan_critic` gives to a picture of
# `side` by `side` pixels, 64 or more. (25, 81 and 169 are above; do not build one.)
#
# **7.3** Each answer judges a patch. How many pixels wide is it, where the edge of the
# picture is far? Leave attention out: its γ is 0 at first. Predict the number.
#
# **7.4** Write `spectral(w)`: a weight (out, in) or (out, in, k, k), an array, divided
# by the largest singular value of the matrix that it is, by `np.linalg.svd`. (The
# library finds it step by step, with one multiplication by the matrix and one by its
# transpose in each batch.)
#
# **7.5** Write `attend(x, query, key, value, gamma)`, which is self-attention on
# arrays: `x` is (N, n, L), L places of n channels; f, g and h are `query @ x`,
# `key @ x` and `value @ x`; β is a softmax of fᵀg, (N, L, L); and x + γ·h β comes out.
# Along which axis must β add up to 1? `check` compares with `nn.SelfAttention`.
#
# **7.6** Write `generator_loss(scores, made, originals)`: the loss L_G from above, with
# 1 and 50. `scores` are the critic's answers to what was made, (N, k), before any
# sigmoid; all are arrays.
#
# And without a check, because the answer is a training run. A training that is done is
# kept, and one with other arguments is refused under its name: choose another `--out`,
# or pass `--restart`.
#
# - Other weights: `weights_gen=(1.0, 10.0)`, then `(1.0, 200.0)`. Which pictures are
#   sharper, which are truer?
# - Spoil photos in another way: `to_grey`, `cut_out` or `line_drawing` instead of
#   `crappify` (they have no numbers, so leave out that column, and `worst`). What does
#   the generator paint on grey cats, and why is it brown?
# - Leave the pretraining out: `GANLearner` with a new generator and a new critic. How
#   long until there is a dog?
# - Your own photos: `--data DIR`. And your own photo through the command line above.
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7, and its notebook
# lesson7-superres-gan. Ledig and others, *Photo-realistic single image
# super-resolution using a generative adversarial network* (arXiv 1609.04802). Zhang
# and others, *Self-attention generative adversarial networks* (1805.08318). Miyato
# and others, *Spectral normalization for GANs* (1802.05957). Salimans, Kingma,
# *Weight normalization* (1602.07868). Parkhi, Vedaldi, Zisserman, Jawahar, *Cats and
# dogs* (2012): the photos.
