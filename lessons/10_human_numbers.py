# %% [markdown]
# # 10. Counting in words: from one hidden layer to a GRU
#
# At the end of this lesson you can build a network that reads a text word by word
# and says what comes next, and you will have seen that a *recurrent* network is no
# new kind of network. It is an ordinary one with a loop in it. Six models follow,
# each the one before with a few lines changed. The first needs three words to guess
# the fourth; the last counts in English.
#
# It follows the last part of fast.ai's 2019 lesson 7 (`lesson7-human-numbers`):
#
#     python lessons/10_human_numbers.py            # all of it: two minutes
#     python lessons/10_human_numbers.py --quick    # a taste, in 15 seconds
#
# A run that is interrupted goes on where it stopped when you start it again.

# %%
from collections import Counter, defaultdict

import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.data import ItemLists, TextList
from minitorch7.learner import accuracy, perplexity
from minitorch7.text import (
    KeepsState,
    LanguageLearner,
    RecurrentModel,
    acc4,
    draw_loop,
    draw_unrolled,
    gradient_reach,
    human_numbers,
    loss4,
    number_in_words,
)

options = lesson.options_of(
    "Lesson 10: language models that learn to count, from a plain net to a GRU.",
    "out/10_human_numbers",
    parallel=False,  # the models' states are of whole batches
)

# %% [markdown]
# ## A language everyone knows
#
# The text is made of the numbers from 1 to 9,999, in words, with commas between
# them. It looks like a toy, and it is a good one: some of it is easy (after
# *thousand* there is often a digit), some of it takes memory (after the comma you must
# know the whole number before), and one can always say what would have been right.
# The numbers below 8,000 are for training. Those above are for validation, so no
# model has ever seen *eight thousand* followed by anything.

# %%
train_lines, valid_lines = human_numbers()
print(train_lines[0], "...", train_lines[-1])
print(valid_lines[0], "...", valid_lines[-1])
train_text, valid_text = ", ".join(train_lines), ", ".join(valid_lines)
lists = ItemLists(".", TextList([train_text]), TextList([valid_text])).label_for_lm()
vocab = lists.vocab
print(f"{len(vocab)} words; {lists.train.tokens:,} and {lists.valid.tokens:,} tokens")

# %% [markdown]
# A network wants numbers, so the text is cut into *tokens* (words, and the comma), and
# each token gets a number, the most frequent first. The first eight are marks of the
# library's, such as `xxbos`, the beginning of a text.

# %%
for first in range(0, len(vocab), 8):
    row = list(enumerate(vocab.itos))[first : first + 8]
    print("  ".join(f"{number:2} {word}" for number, word in row))
ids = lists.valid.documents[0]
print(ids[:16], "is", vocab.textify(ids[:16]))

# %% [markdown]
# ## Sixty-four readers
#
# A language model needs no labels. At each word, the next one is what it should have
# said, so y is x, one word on. To learn from many places at a time, 64 readers start at
# 64 places, evenly spread over the text, and each reads `bptt` words in a batch. In the
# next batch each goes on where it stopped. That will matter later.

# %%
data = lists.databunch(bs=64, bptt=70, seed=options.seed)
x, y = data.one_batch("valid")
print("x", x.shape, " y", y.shape, f" {len(data.valid_dl)} batches to validate on")
print("reader 0 reads:", vocab.textify(x[0, :12].numpy()))
print("and wants:     ", vocab.textify(y[0, :12].numpy()))
following, _ = data.valid_dl.batch(0, 1)
print("it ends:       ", vocab.textify(x[0, -6:].numpy()))
print("and goes on:   ", vocab.textify(following[0, :6].numpy()))
print(data.show_batch(rows=3, ds_type="valid"))

# %% [markdown]
# ## How much must one remember?
#
# Before any network, a dictionary. For each run of up to n words in the training text
# it notes what followed most often. Asked for the next word, it takes the longest run
# that it knows and says what followed that. How often is it right?


# %%
learn_from, judge_by = lists.train.documents[0].tolist(), ids.tolist()


def successors(n):
    """What followed each run of n words most often."""
    seen = defaultdict(Counter)
    for i in range(len(learn_from) - n):
        seen[tuple(learn_from[i : i + n])][learn_from[i + n]] += 1
    return {run: counts.most_common(1)[0][0] for run, counts in seen.items()}


known = [successors(n) for n in range(9)]


def share_right(text, most):
    """How often what followed the longest known run of up to `most` words is right."""
    right = 0
    for i in range(most, len(text)):
        runs = (known[n].get(tuple(text[i - n : i])) for n in range(most, -1, -1))
        right += next(word for word in runs if word is not None) == text[i]
    return right / (len(text) - most)


print("words remembered, right in the training text, right in the other one")
for n in range(9):
    print(f"{n} {share_right(learn_from, n):8.3f} {share_right(judge_by, n):8.3f}")
count = judge_by.count(vocab.stoi["thousand"])
print(f"thousand is {count:,} of the other text's {len(judge_by):,} words")

# %% [markdown]
# With seven words it is always right about the text that it knows, and about the
# other one it is no better than with two. It has learnt everything by heart and
# understood nothing: *eight thousand* was never followed by anything, so it knows of
# no run with that in it, and of two thousand *thousand*s it gets not one. A network
# will have to see that *eight* can be followed by what follows *seven*. A third is
# the figure to beat.
#
# ## Three words in, one out
#
# So model 0 reads three words. Each word is looked up in a table, the *embedding*
# (`i_h`, input to hidden): 64 numbers that are the word's own. A linear layer (`h_h`,
# hidden to hidden) and a ReLU make of it a *state*, what the network knows so far. The
# second word is added to that, and the same `h_h` is applied again; then the third.
# After each ReLU stands a batch norm, the same one each time. Finally `h_o`, hidden to
# output, gives each word of the vocabulary a score. (As a `Module` has nothing to set
# up here, there is no `super().__init__()`.)


# %%
class Model0(nn.Module):
    def __init__(self, nv=38, nh=64):
        self.i_h = nn.Embedding(nv, nh)
        self.h_h = nn.Linear(nh, nh)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)

    def forward(self, x):
        h = self.i_h(x[:, 0])  # (bs, nh)
        h = self.bn(F.relu(self.h_h(h)))
        h = h + self.i_h(x[:, 1])
        h = self.bn(F.relu(self.h_h(h)))
        h = h + self.i_h(x[:, 2])
        h = self.bn(F.relu(self.h_h(h)))
        return self.h_o(h)  # (bs, nv)


mt.manual_seed(options.seed)
model = Model0()
print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
lesson.show(draw_unrolled(model, 1), options, "1_basic")
lesson.show(
    draw_unrolled(model, ["eight", "thousand", "one"]), options, "2_three_words"
)

# %% [markdown]
# The drawings are made from the model. A rectangle is a word, a circle a state, a
# triangle the scores; arrows of one colour are the same weights. (W(h + e) is drawn as
# Wh + We, so `h_h` is on two arrows where the code multiplies once.) With one word it
# is the most ordinary network there is: a hidden layer. With three it is deeper, and
# still has only one `h_h`.
#
# Why may the weights be shared? Because "now take one more word into account" is the
# same task each time.
#
# We train it on batches three words wide, and look only at the answer after the third,
# by `loss4` and `acc4`: cross entropy and accuracy of the fourth word.

# %%
reached, published = {}, {}


def train(number, learn, epochs, max_lr, in_lesson, **how):
    """Train model `number` as the lesson did, where it got `in_lesson` right."""
    learn.fit_one_cycle(
        lesson.epochs_of(options, epochs, taste=1),
        max_lr,
        checkpoint=f"model_{number}",
        restart=options.restart,
        **how,
    )
    scores = [row[0] for row in learn.recorder.metrics]
    reached[number] = scores[-1], max(scores)
    published[number] = in_lesson
    print(f"model {number}: {scores[-1]:.3f} right; the lesson's: {in_lesson:.3f}")


def answers(model, data):
    """(words read, words wanted, words guessed) in the validation text, as arrays."""
    with nn.evaluating(model), mt.no_grad():
        batches = [
            [part.numpy() for part in (x, y, model(x).argmax(-1))]
            for x, y in data.valid_dl.batches(0)
        ]
    return [np.concatenate(part) for part in zip(*batches, strict=True)]


def on_thousand(wanted, guessed):
    """How often *thousand* is right, and how often all other words are."""
    right, there = wanted == guessed, wanted == vocab.stoi["thousand"]
    print(f"right on thousand: {right[there].mean():.3f}", end=", ")
    print(f"on all other words: {right[~there].mean():.3f}")


three = lists.databunch(bs=64, bptt=3, seed=options.seed)
learn = LanguageLearner(three, model, loss_func=loss4, metrics=acc4, path=options.out)
train(0, learn, 6, 1e-4, 0.409)
_, wanted, guessed = answers(model, three)
on_thousand(wanted[:, -1], guessed)

# %% [markdown]
# (A network that gives all 38 words the same chance has a loss of ln 38 = 3.64.)
#
# Far better than the dictionary, with three words to go on, and for one reason. It says
# *thousand* where it belongs, after an *eight* or *nine* that it has never seen there.
# Of the other words it gets no more right than the dictionary does.
#
# (What it is compared with is the lesson's final notebook. That of the recording had
# 0.462. In both, model 0 left out `h_h` for the first word.)
#
# ## The same thing with a loop
#
# Those three pairs of lines in `forward` beg to be written as a loop. Start with
# nothing; for each word, add it and apply `h_h`.


# %%
class Model1(Model0):
    def forward(self, x):
        h = 0  # nothing has been read
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = self.bn(F.relu(self.h_h(h)))
        return self.h_o(h)  # (bs, nv)


# %% [markdown]
# That *is* a recurrent network. "Recurrent" means: with a loop in it. To be sure that
# nothing has changed, give model 1 the weights of model 0 and compare everything.

# %%
before, after = Model0(), Model1()
after.load_state_dict(before.state_dict())
x, y = three.one_batch()
for network in (before, after):
    loss4(network(x), y).backward()
scores = [network(x).detach().numpy() for network in (before, after)]
differences = [
    abs(p.grad.numpy() - q.grad.numpy()).max()
    for p, q in zip(before.parameters(), after.parameters(), strict=True)
]
print("same scores:", np.array_equal(*scores))
print(f"largest difference of a gradient: {max(differences):.1e}")
lesson.show(draw_loop(after), options, "3_loop")

# %%
mt.manual_seed(options.seed)
learn = LanguageLearner(
    three, Model1(), loss_func=loss4, metrics=acc4, path=options.out
)
train(1, learn, 6, 1e-4, 0.393)

# %% [markdown]
# The very same table as for model 0: from the same seed it starts with the same
# weights, and gets the same batches. A refactoring should change nothing.
#
# ## An answer after every word
#
# Model 1 reads three words to be corrected once. It could be corrected after each of
# them, and a loop need not stop after three. So model 2 reads 20 words and gives 20
# answers: the triangle has moved into the loop. Batch norm has left it and is on the
# way out only, as in the final notebook. No `loss_func` is given: the data's own
# compares at every place.


# %%
class Model2(Model0):
    def forward(self, x):
        h, scores = 0, []
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = F.relu(self.h_h(h))
            scores.append(self.h_o(self.bn(h)))
        return F.stack(scores, dim=1)  # (bs, time, nv)


mt.manual_seed(options.seed)
twenty = lists.databunch(bs=64, bptt=20, seed=options.seed)
learn = LanguageLearner(twenty, Model2(), path=options.out)
lesson.show(draw_loop(learn.model), options, "4_every_word")
train(2, learn, 10, 1e-4, 0.350, pct_start=0.1)

# %% [markdown]
# It is *worse*. The lesson's reason: model 1 was only ever asked when it had read three
# words; model 2 is also asked after one. Where in the batch is it right?

# %%
_, wanted, guessed = answers(learn.model, twenty)
places = {"model 2": (wanted == guessed).mean(axis=0)}  # (bptt,)
early, late = places["model 2"][0], places["model 2"][4:].mean()
print(f"after its first word {early:.3f} right, from the fifth on {late:.3f}")
on_thousand(wanted, guessed)

# %% [markdown]
# After one word it is poor indeed, but that is one answer in twenty. Most of the
# difference is one word again: *thousand* is 15 of 100 words here, and never followed
# *eight* or *nine* in training. Model 1 says it all the same. Model 2 has begun to
# learn that it never does, and half the time it does not say it. Which is right, as
# far as it can know: being right about what one has seen and about what one has not
# are two things, and this validation text asks for the second.
#
# ## Do not forget
#
# At the beginning of each batch, h is 0: the network forgets all it has read. But the
# readers go on where they stopped! So model 3 keeps the state from batch to batch.
#
# One thing must not be kept: the *history* of the state. On it hangs the graph of the
# batch before, and on that the one before... After an epoch, `backward()` would walk
# back over 800 words. `keep` stores the numbers and cuts the graph off (`detach`).
# The network remembers further back than it learns: *truncated backpropagation
# through time*, which is what bptt stands for. `KeepsState` is a Module with a buffer
# `h`, so that a checkpoint holds the state, too. It is given the shape of h (an RNN's
# has its layers in front); `kept(x)` returns h, if x has as many rows.


# %%
class Model3(KeepsState):
    def __init__(self, nv=38, nh=64, bs=64):
        super().__init__(bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.h_h = nn.Linear(nh, nh)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1d(nh)

    def forward(self, x):
        h, outputs = self.kept(x), []
        for t in range(x.shape[1]):
            h = h + self.i_h(x[:, t])
            h = F.relu(self.h_h(h))
            outputs.append(self.bn(h))
        self.keep(h)
        return self.h_o(F.stack(outputs, dim=1))  # (bs, time, nv)


mt.manual_seed(options.seed)
learn = LanguageLearner(twenty, Model3(), path=options.out)
train(3, learn, 20, 3e-3, 0.443)
_, wanted, guessed = answers(learn.model, twenty)
places["model 3"] = (wanted == guessed).mean(axis=0)
on_thousand(wanted, guessed)
figure = plot.curves(np.arange(1, 21), places, "words read in this batch", "accuracy")
lesson.show(figure, options, "5_by_place")

# %% [markdown]
# The dip at the left of the picture is gone, and all other words are better, too. (The
# recipe has changed as well: a larger rate, and 20 epochs. An experiment at the end is
# to tell the two apart.)
#
# The lesson's model 3 had 0.467 in its third epoch and 0.316 in the next. Look for the
# same in the table above. In those epochs it learns that *eight* and *nine* are
# exceptions: before, it says *thousand* after any digit that begins a number.
#
# ## The loop as a layer
#
# Every framework has this loop ready-made, with two changes: the word gets a weight
# matrix of its own, and ReLU becomes tanh, which cannot grow without limit:
#
# $$h_t = \tanh(W_{ih} x_t + b_{ih} + W_{hh} h_{t-1} + b_{hh})$$
#
# `nn.RNN` takes all embedded words at once, (bs, time, 64), and returns all states and
# the last one. `BatchNorm1dFlat` normalises each of the 64 numbers over all readers and
# all words.


# %%
class Model4(KeepsState):
    def __init__(self, nv=38, nh=64, bs=64):
        super().__init__(1, bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = nn.RNN(nh, nh, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1dFlat(nh)

    def forward(self, x):
        output, h = self.rnn(self.i_h(x), self.kept(x))
        self.keep(h)
        return self.h_o(self.bn(output))  # (bs, time, nv)


mt.manual_seed(options.seed)
learn = LanguageLearner(twenty, Model4(), path=options.out)
count = sum(p.numel() for p in learn.model.parameters())
print(f"{count:,} parameters")
lesson.show(draw_unrolled(learn.model, 3), options, "6_rnn")

# %% [markdown]
# The library has two versions of it: a loop over `F.rnn_cell` that says the formula,
# and a *sweep*, one operation for the whole sequence with a backward of its own. The
# sweep multiplies all words by W_ih in one product before the loop, and does the same
# for the gradients of both weights after it. Same numbers, other speed:

# %%
embedded = mt.randn(20, 64, 64)  # (time, bs, nh)
sweep, loop = nn.RNN(64, 64), nn.RNN(64, 64, sweep=False)
loop.load_state_dict(sweep.state_dict())
with mt.no_grad():
    gap = abs(sweep(embedded)[0].numpy() - loop(embedded)[0].numpy()).max()
print(f"sweep and loop differ by {gap:.1e}")
train(4, learn, 20, 3e-3, 0.615)

# %% [markdown]
# ## Two layers, and gates
#
# Now the readers' states can themselves be read: a second RNN on top of the first
# one, whose words are the states below. From the first word to the last answer it is
# 21 cells, and plain RNNs of that depth are hard to train (we shall see why). So the
# lesson changes the cell, too. A *GRU* has two *gates*, numbers between 0 and 1 that
# it computes from the word and the state:
#
# $$r = \sigma(W_{ir} x + W_{hr} h) \qquad z = \sigma(W_{iz} x + W_{hz} h)$$
# $$n = \tanh(W_{in} x + r \odot W_{hn} h) \qquad h' = (1 - z) \odot n + z \odot h$$
#
# (and biases). r says how much of the old state to look at when proposing a new one,
# z how much of the old state to keep. Where z is 1, a state goes through unchanged, for
# as long as it takes: a skip connection through time, which the network can open and
# close.


# %%
class Model5(KeepsState):
    def __init__(self, nv=38, nh=64, bs=64):
        super().__init__(2, bs, nh)
        self.i_h = nn.Embedding(nv, nh)
        self.rnn = nn.GRU(nh, nh, 2, batch_first=True)
        self.h_o = nn.Linear(nh, nv)
        self.bn = nn.BatchNorm1dFlat(nh)

    def forward(self, x):
        output, h = self.rnn(self.i_h(x), self.kept(x))
        self.keep(h)
        return self.h_o(self.bn(output))  # (bs, time, nv)


mt.manual_seed(options.seed)
learn = LanguageLearner(
    twenty, Model5(), metrics=[accuracy, perplexity], path=options.out
)
count = sum(p.numel() for p in learn.model.parameters())
print(f"{count:,} parameters")
lesson.show(draw_unrolled(learn.model, 3), options, "7_stacked")
train(5, learn, 10, 1e-2, 0.807)

# %% [markdown]
# Perplexity is e to the loss: among how many words it hesitates. A model that knows
# nothing has 38. (It may get worse while accuracy gets better: a model that has
# become very sure pays dearly for the few words that it is wrong about.)
#
# All six, beside what the lesson's notebook printed:

# %%
print(f"{'model':<8}{'right':>8}{'best epoch':>12}{'lesson':>8}")
for number, (last, best) in reached.items():
    print(f"{number:<8}{last:8.3f}{best:12.3f}{published[number]:8.3f}")
figure = plot.bar_chart(
    [f"model {number}" for number in reached],
    [last for last, _ in reached.values()],
    xlabel="accuracy",
)
lesson.show(figure, options, "8_all_models")

# %% [markdown]
# (One run each. Over five seeds, mean and standard deviation, by `python
# benchmarks/human_numbers_accuracy.py`: models 0 and 1 0.469 ± 0.002, 2 0.357 ± 0.057,
# 3 0.538 ± 0.041, 4 0.636 ± 0.055, 5 0.818 ± 0.021. So one run of models 2 to 4 says
# little.)
#
# ## How far back does it learn?
#
# Take the error after the last of 40 words, and ask how much it would change if the
# word k steps before had been a little different. That is a gradient, and so how much
# can be *learnt* about that word. Four models of one layer, trained the same way:

# %%
mt.manual_seed(options.seed)
kinds = {"model 3": Model3()}
kinds |= {cell.upper(): RecurrentModel(cell) for cell in ("rnn", "gru", "lstm")}
text, wanted = lists.databunch(bs=64, bptt=40).one_batch("valid")
reaches, at_start, ten_epochs = {}, {}, {}
for name, network in kinds.items():
    at_start[name] = gradient_reach(network, text, wanted)
    reader = LanguageLearner(twenty, network, path=options.out)
    reader.fit_one_cycle(
        lesson.epochs_of(options, 10, taste=1),
        3e-3,
        checkpoint=f"reach_{name.replace(' ', '_')}",
        restart=options.restart,
    )
    reaches[name] = gradient_reach(network, text, wanted)
    ten_epochs[name] = reader.recorder.metrics[-1][0]
for title, found in {"new": at_start, "trained": reaches}.items():
    shares = {name: reach / reach[0] for name, reach in found.items()}
    figure = plot.curves(
        np.arange(40),
        shares,
        "words back",
        "share of the last word's",
        title,
        log_y=True,
    )
    lesson.show(figure, options, f"9_reach_{title}")
    far = ", ".join(f"{name} {share[20]:.0e}" for name, share in shares.items())
    print(f"{title}: 20 words back, of what reaches the last word: {far}")

# %% [markdown]
# In a new network each step back multiplies the gradient by about the same factor,
# and that makes a straight line in the first picture (its axis is logarithmic).
# Without gates it falls fast: twenty steps back less than a millionth is left,
# drowned by what the last words say. With gates, half open at first, some hundred
# times as much is left.
#
# The second picture holds a surprise. After training *all four* let gradients through
# (in one run of each). So a plain RNN can learn to remember; it seems to lack a
# beginning, having to find the connection while it sees next to nothing of it. This is
# how far each has come in the same ten epochs:

# %%
for name, share in ten_epochs.items():
    print(f"{name:<8}{share:.3f} right")

# %% [markdown]
# ## Does it count?
#
# Let model 5 write: give it a few words, draw the next by its own probabilities, feed
# that back in. At temperature 0 it always takes the likeliest word.

# %%
print(learn.predict("two thousand four hundred ninety eight ,", 30, temperature=0))
print()
print(learn.predict("xxbos", 30, seed=options.seed))

# %% [markdown]
# Looks right, mostly. How often? Cut the text at the commas, turn words back into
# numbers, and see how many are the one before, plus one. Twenty starts in the numbers
# that it has trained on, twenty in those it has never seen.

# %%
value = {number_in_words(n): n for n in range(1, 10_000)}


def counted(start):
    """(numbers that are the one before plus one, numbers) in a text of 60 words."""
    prompt = f"{number_in_words(start)} ,"
    # the last number may be cut off, so it does not count
    parts = learn.predict(prompt, 60, temperature=0).split(" , ")[:-1]
    numbers = [value.get(part.strip()) for part in parts]
    pairs = list(zip(numbers, numbers[1:], strict=False))
    return sum(a is not None and b == a + 1 for a, b in pairs), len(pairs)


starts = 3 if options.quick else 20
for name, low, high in (("seen", 1_000, 7_900), ("never seen", 8_001, 9_900)):
    tried = [counted(int(n)) for n in np.linspace(low, high, starts)]
    right, total = (sum(part) for part in zip(*tried, strict=True))
    print(f"{name}: {right} of {total} numbers are the one before, plus one")

# %% [markdown]
# So it can count, and yet it is wrong about a fifth of the validation text. Where?

# %%
read, wanted, guessed = answers(learn.model, twenty)
first = np.isin(read, [vocab.stoi[","], vocab.stoi["xxbos"]])
thousand, comma = (wanted == vocab.stoi[word] for word in ("thousand", ","))
places_in_number = {
    "first word": first,
    "thousand": thousand,
    "all other words": ~(first | thousand | comma),
    "the comma after": comma,
}
shares = {}
for name, there in places_in_number.items():
    shares[name] = (guessed == wanted)[there].mean()
    print(f"{name:<18}{shares[name]:.3f} of {there.sum():,} right")
print(f"first words are {first.mean():.1%} of all")
figure = plot.bar_chart(list(shares), list(shares.values()), xlabel="accuracy")
lesson.show(figure, options, "10_by_place_in_number")

# %% [markdown]
# It knows how a number goes on and where it ends: nearly all of that is right, for
# numbers that it has never seen. What is wrong is mostly what no one has told it. In
# the training text no number began with *eight thousand* or *nine thousand*, so it
# begins with another digit, and is unsure whether *thousand* may follow. A model that
# never begins with *eight* or *nine* gets 0.85 at best, as first words are 15 of 100.
# When it writes itself, the prompt has said "nine thousand", and it sticks to that.
#
# ## What the library does
#
# | here | there |
# |---|---|
# | the numbers in words | `minitorch7/text/numbers.py:20` `number_in_words` |
# | tokens | `minitorch7/data/tokens.py:112` `Tokenizer` |
# | the vocabulary | `minitorch7/data/vocab.py:18` `Vocab` |
# | the 64 readers | `minitorch7/data/streams.py:34` `TokenLoader` |
# | the table of words | `minitorch7/functional/lookup.py:76` `Embedding` |
# | its gradient | `minitorch7/functional/lookup.py:90` `EmbeddingGrad` |
# | model 1, checked | `minitorch7/text/models.py:50` `Model1` |
# | model 5, checked | `minitorch7/text/models.py:114` `Model5` |
# | the state that is kept | `minitorch7/text/state.py:29` `KeepsState` |
# | one step of an RNN | `minitorch7/functional/recurrent.py:29` `rnn_cell` |
# | one step of a GRU | `minitorch7/functional/recurrent.py:49` `gru_cell` |
# | the sweep | `minitorch7/functional/recurrent.py:160` `Sweep` |
# | its gradient | `minitorch7/functional/recurrent.py:193` `SweepGrad` |
# | a GRU's arithmetic | `minitorch7/kernels/recurrent.py:92` `gru` |
# | and on the way back | `minitorch7/kernels/recurrent.py:133` `gru_grads` |
# | `nn.GRU` | `minitorch7/nn/recurrent.py:298` `GRU` |
# | `BatchNorm1dFlat` | `minitorch7/nn/normalisation.py:78` `BatchNorm1dFlat` |
# | the last word's loss | `minitorch7/text/losses.py:13` `loss4` |
# | perplexity | `minitorch7/learner/perplexity.py:19` `perplexity` |
# | how far back it learns | `minitorch7/text/reach.py:21` `gradient_reach` |
# | drawing words | `minitorch7/text/generate.py:22` `generate` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/10_human_numbers.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("10.1", your_answer)
#
# **10.1** Write `batches(n, bs, bptt)`: how many batches an epoch has, for a text of n
# words. (All are full. What would lie beyond the text's end is its beginning.)
#
# **10.2** Write `word(n, bs, bptt, k, b, t)`: which word of the text, counted from 0,
# reader k of bs reads in batch b at place t, all counted from 0, too. Reader k starts
# at k·n/bs, rounded down.
#
# **10.3** Write `perplexity(batches)`: of a validation set, from the list of its
# batches as pairs (how many words, their mean loss). Is it the mean of the batches'
# perplexities?
#
# **10.4** Write `gru(x, h, w_ih, w_hh, b_ih, b_hh)`: one step, on arrays. `x` is (N,
# ni), `h` is (N, nh), and the rows of the weights (3·nh, …) and biases (3·nh,) are
# those of r, z and n, one after the other. r stands before *all* of what n gets from h.
#
# **10.5** Write `parameters(ni, nh, layers)`: how many numbers `nn.GRU(ni, nh, layers)`
# learns. How many of model 5's are in its second layer?
#
# **10.6** Write `gate(share, steps)`: at which value z must stand in every step, so
# that this share of the gradient of a GRU's state gets through so many steps (what r
# and n do left aside). And for a half, over 20 steps?
#
# And without a check, because the answer is a training run. A training that is done is
# kept, and one with other arguments is refused under its name: choose another `--out`,
# or pass `--restart`.
#
# - Leave out `detach`: override `keep` with `self.h = h`. What does the second batch
#   say, and what would it cost if it did not? Then concatenate word and state instead
#   of adding them (`F.cat`, and an `h_h` with 128 inputs). Is it better?
# - Train model 2 by model 3's recipe, and for 39 epochs by its own (then it has had as
#   many batches as model 1). What does each do to *thousand*, and to the other words?
# - Is model 5's second layer good for anything? `RecurrentModel("gru", layers=1)` by
#   its recipe, over several seeds; then an LSTM of two layers.
# - Train on the numbers in a random order. What accuracy can be reached at best, and
#   which words are still easy?
#
# ## Sources
#
# fast.ai, *Practical Deep Learning for Coders* 2019, lesson 7, and its notebook
# lesson7-human-numbers. Elman, *Finding structure in time* (1990). Hochreiter and
# Schmidhuber, *Long short-term memory* (1997). Cho and others, *Learning phrase
# representations using RNN encoder-decoder* (arXiv 1406.1078): the GRU. Williams and
# Peng, *An efficient gradient-based algorithm for on-line training of recurrent
# network trajectories* (1990). Bengio, Simard, Frasconi, *Learning long-term
# dependencies with gradient descent is difficult* (1994).
