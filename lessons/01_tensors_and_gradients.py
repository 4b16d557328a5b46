# %% [markdown]
# # 1. Tensors and gradients: what `.backward()` does
#
# A network has many thousands of weights, and for each of them training asks one
# question: if this weight were a little larger, how much would the loss change?
# One line of code answers for all of them at once, `loss.backward()`. This lesson
# takes the line apart. You need no more than Python and the chain rule.
#
# At the end you can write such an engine yourself, in some forty lines; say why it
# sorts its graph, what a second `backward()` does, and which gradients to zero; and
# write a new operation for the library and know that its gradient is right.
#
#     python lessons/01_tensors_and_gradients.py            # all of it
#     python lessons/01_tensors_and_gradients.py --quick    # a taste

# %%
import math
import sys
import textwrap
import time

import numpy as np

import lesson
import minitorch7 as mt
from minitorch7 import functional as F
from minitorch7 import nn, plot
from minitorch7.autograd import Function, graph_of

options = lesson.options_of(
    "Lesson 1: finite differences, the chain rule, the graph, backward, gradcheck.",
    "out/01_tensors_and_gradients",
)


def host(t):
    """The values, where NumPy and matplotlib can see them."""
    return t.detach().cpu().numpy()


# %% [markdown]
# ## A slope without any calculus
#
# How much does f change when x grows a little? Try it: take a small step h, and
# divide the change by the step. That is the *forward difference*. Its sister steps
# to both sides and is called the *central difference*.


# %%
def forward_difference(f, x, h):
    return (f(x + h) - f(x)) / h


def central_difference(f, x, h):
    return (f(x + h) - f(x - h)) / (2 * h)


def bumpy(x):
    return np.exp(np.sin(x))


def slope_of_bumpy(x):  # for once we know it
    return np.cos(x) * np.exp(np.sin(x))


print(f"the slope at 0.5 is {slope_of_bumpy(0.5):.10f}")
for h in (0.1, 0.01, 0.001):
    one = forward_difference(bumpy, 0.5, h)
    two = central_difference(bumpy, 0.5, h)
    print(f"h = {h:<5}  forward {one:.10f}  central {two:.10f}")

# %% [markdown]
# Ten times the smaller step gives the forward difference one more digit, and the
# central one two. Taylor's series says why. With ε the relative rounding error of
# one value of f,
#
# $$
# \frac{f(x+h) - f(x)}{h} = f'(x) + \frac{h}{2} f''(x) + \dots \pm \frac{2ε}{h} f(x)
# $$
#
# $$
# \frac{f(x+h) - f(x-h)}{2h}
# = f'(x) + \frac{h^2}{6} f'''(x) + \dots \pm \frac{ε}{h} f(x)
# $$
#
# Stepping to both sides makes the term with h cancel. But then why not take h = 10⁻¹⁵
# and be done? Because of the last term. f(x + h) and f(x) agree in nearly all of
# their digits, the difference keeps the few that are left, and rounding has spoiled
# those. Dividing by a small h makes the spoiled digits large.
#
# So there is a best h, where both errors are equally large: near √ε for the forward
# difference, near ∛ε for the central one.

# %%
xs = np.linspace(0.2, 1.2, 201)
steps = np.logspace(-15, 0, 61)
errors = {}
for dtype in (np.float32, np.float64):
    for rule in (forward_difference, central_difference):
        at, true = xs.astype(dtype), slope_of_bumpy(xs)
        found = [rule(bumpy, at, dtype(h)).astype(np.float64) for h in steps]
        errors[dtype.__name__, rule.__name__.split("_")[0]] = [
            np.sqrt(np.mean((one - true) ** 2)) for one in found
        ]
print("                    best h    error there    expected h")
for (kind, rule), row in errors.items():
    best, ε = int(np.argmin(row)), np.finfo(kind).eps
    expected = ε ** (1 / 2 if rule == "forward" else 1 / 3)
    print(f"{kind} {rule:8} {steps[best]:9.0e} {row[best]:12.0e} {expected:13.0e}")


# %%
def draw_errors(i, j, ax):
    colours = {"float32": plot.VERMILLION, "float64": plot.BLUE}
    for (kind, rule), row in errors.items():
        style = "-" if rule == "central" else "--"
        label = f"{rule}, {kind}"
        ax.loglog(steps, row, style, color=colours[kind], label=label, linewidth=2)
    ax.set_xlabel("step h")
    ax.set_ylabel("error of the slope")
    ax.set_ylim(1e-13, 1e2)
    ax.annotate("rounding", (1e-14, 3e-7), color="0.3")
    ax.annotate("the curve bends", (4e-3, 1e-10), color="0.3")
    ax.grid(True, color="0.9")
    ax.legend(frameon=False, loc="lower left")


lesson.show(plot.plot_multi(draw_errors, 1, 1, (8, 4.5)), options, "1_step")

# %% [markdown]
# Read a curve from right to left: first the error falls with h, or with h²; then
# rounding takes over and it rises again. In float32 the best that a forward
# difference can do is three digits. Remember that: whoever checks gradients does it
# in float64, with central differences.
#
# And remember the price. Each weight needs evaluations of its own: a net with n
# weights must be run n + 1 times to learn its slopes once, or 2n times with central
# differences. We need something better, and finite differences will be the judge of
# whether it is right.
#
# ## A number that remembers
#
# Every loss, however long its program, is made of small steps: sums, products, a
# tanh. For one small step the slope is known from school. If y = a·b, then y grows
# by b for each unit that a grows, and by a for each unit of b. These are the *local*
# slopes, and they are known at the moment the step is computed. So write them down.


# %%
class Number:
    """A value, the numbers that it was made from, and its slope in each of them."""

    def __init__(self, value, parents=(), slopes=(), how=""):
        self.value, self.parents, self.slopes = value, parents, slopes
        self.how = how
        self.grad = 0.0

    def __add__(self, other):
        return Number(self.value + other.value, (self, other), (1.0, 1.0), "+")

    def __sub__(self, other):
        return Number(self.value - other.value, (self, other), (1.0, -1.0), "−")

    def __mul__(self, other):
        slopes = other.value, self.value
        return Number(self.value * other.value, (self, other), slopes, "×")

    def tanh(self):
        y = math.tanh(self.value)
        return Number(y, (self,), (1.0 - y * y,), "tanh")


# %% [markdown]
# One neuron, with its weight used a second time to make it less easy:

# %%
w, x, b = Number(0.8, how="w"), Number(1.5, how="x"), Number(-0.5, how="b")
result = (w * x + b).tanh() * w
print(f"{result.value:.4f}, made by {result.how} of {len(result.parents)} numbers")

# %% [markdown]
# No slope of the whole has been computed yet. But the numbers know where they come
# from, and that makes a *graph*. Here it is, with the values in the boxes and the
# local slopes on the arrows.


# %%
def picture_of(result, text):
    """The graph behind `result` as plain data for `plot.draw_graph`."""
    names, edges, found = {}, [], [result]
    for node in found:  # the list grows while we walk along it
        if node not in names:
            names[node] = f"n{len(names)}"
            found += node.parents
    nodes = {}
    for node, name in names.items():
        kind = "operation" if node.parents else "leaf"
        nodes[name] = ("output" if node is result else kind, text(node))
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            edges.append((names[parent], name, f"{slope:.3g}"))
    return nodes, edges


figure = plot.draw_graph(picture_of(result, lambda n: f"{n.how}\n{n.value:.3g}"))
lesson.show(figure, options, "2_neuron")

# %% [markdown]
# What is the slope of the result in w? **The chain rule**: along one path the slopes
# multiply, and where several paths lead from w to the result, their products add up.
# Two paths lead from w to the bottom. Follow them in the picture with a finger.

# %%
squashed = result.parents[0]
total = squashed.parents[0]
long_way = result.slopes[0] * squashed.slopes[0] * total.slopes[0] * x.value
short_way = result.slopes[1]
print(
    f"long way {long_way:.4f} + short way {short_way:.4f} = {long_way + short_way:.4f}"
)

# %% [markdown]
# As a program: start at the result with 1. At each number, add what arrives to its
# `grad`, multiply by each local slope, and go on to the parents.


# %%
def send(node, gradient):
    node.grad += gradient
    for parent, slope in zip(node.parents, node.slopes, strict=True):
        send(parent, gradient * slope)


send(result, 1.0)


def neuron(w, x, b):
    return math.tanh(w * x + b) * w


h = 1e-5
judge = {
    "w": central_difference(lambda w: neuron(w, 1.5, -0.5), 0.8, h),
    "x": central_difference(lambda x: neuron(0.8, x, -0.5), 1.5, h),
    "b": central_difference(lambda b: neuron(0.8, 1.5, b), -0.5, h),
}
for leaf in (w, x, b):
    print(f"{leaf.how}: {leaf.grad:.8f}, finite difference {judge[leaf.how]:.8f}")

# %% [markdown]
# Three slopes from one walk, and no step h to choose. This direction, from the
# result back to what it was made from, is called *reverse mode*. It suits training,
# where there are many weights and one loss: however many there are, it is one walk.
#
# ## Why the graph is sorted
#
# The engine above is right. It is also useless. Take a number and double it by adding
# it to itself, and again, and again:
#
#     b = a + a
#     c = b + b


# %%
def doubled(times):
    """a, and what comes of it by adding it to itself again and again."""
    a = Number(1.0, how="a")
    result = a
    for name in "bcdefghijklmnopqrstuvwxyz"[:times]:
        result = result + result
        result.how = name
    return a, result


def visits(node):
    """How often `send` calls itself, counted in the way that it walks."""
    return 1 + sum(visits(parent) for parent in node.parents)


for times in (1, 2, 3, 4, 10):
    n_visits = visits(doubled(times)[1])
    print(f"doubled {times:2} times: {times + 1:2} numbers, {n_visits} visits")

# %% [markdown]
# `send` walks every *path*. There are two paths from b to a, four from c to a, and
# each further step doubles them: 2ⁿ⁺¹ − 1 visits for n steps. A network in which
# every layer uses its input twice, such as a residual network (lesson 3), is this
# graph.

# %%
a, c = doubled(2)
send(c, 1.0)  # all slopes are 1 here, so `grad` counts the visits
figure = plot.draw_graph(picture_of(c, lambda n: f"{n.how}\nvisited {n.grad:.0f}×"))
lesson.show(figure, options, "3_doubled")

# %% [markdown]
# Two ways out come to mind, and both are wrong. The first: do not carry the gradient
# along the path, but pass on what the number has collected. The second: visit each
# number once only.


# %%
def send_what_is_there(node):
    for parent, slope in zip(node.parents, node.slopes, strict=True):
        parent.grad += node.grad * slope
        send_what_is_there(parent)


def send_once(node, seen):
    for parent, slope in zip(node.parents, node.slopes, strict=True):
        parent.grad += node.grad * slope
        if parent not in seen:
            seen.add(parent)
            send_once(parent, seen)


a, c = doubled(2)
send(c, 1.0)
print("c = 4·a, so the slope is 4; every path:", a.grad)
a, c = doubled(2)
c.grad = 1.0
send_what_is_there(c)
print("pass on what is there:", a.grad)
a, c = doubled(2)
c.grad = 1.0
send_once(c, set())
print("visit once:", a.grad)

# %% [markdown]
# In the first, b passes on its first half, then the first half again together with
# the second: 2·1 + 2·2. In the second, b passes on its first half, and when the
# second arrives, b has been visited. Both make the same mistake: **b speaks before
# everything has been said to it.**
#
# So the rule is: a number passes its gradient on once, and not before all its uses
# have reported. An order in which that holds, each number after all those that use
# it, is called a *topological order*. To find one, count the uses of each number.
# When the last of them has reported, its turn has come.


# %%
def backward(result):
    uses, found = {}, [result]
    for node in found:  # the list grows while we walk along it
        for parent in node.parents:
            if parent not in uses:
                found.append(parent)
            uses[parent] = uses.get(parent, 0) + 1

    result.grad = 1.0
    ready = [result]
    while ready:
        node = ready.pop()
        for parent, slope in zip(node.parents, node.slopes, strict=True):
            parent.grad += node.grad * slope
            uses[parent] -= 1
            if not uses[parent]:
                ready.append(parent)


a, c = doubled(2)
backward(c)
print("in topological order:", a.grad)


# %% [markdown]
# How much is saved? Time both, and of three times take the best: the machine may have
# been busy with other things in the others.


# %%
def seconds(work, *arguments, tries=3):
    took = []
    for _ in range(tries):
        start = time.perf_counter()
        work(*arguments)
        took.append(time.perf_counter() - start)
    return min(took)


depths = range(1, 15 if options.quick else 18)
by_path = [seconds(send, doubled(n)[1], 1.0) for n in depths]
in_order = [seconds(backward, doubled(n)[1]) for n in depths]
n = depths[-1]
print(f"{n} doublings: every path {by_path[-1]:.2g} s, in order {in_order[-1]:.2g} s")


def draw_times(i, j, ax):
    ax.semilogy(depths, by_path, "o-", color=plot.VERMILLION, label="every path")
    ax.semilogy(depths, in_order, "o-", color=plot.BLUE, label="in order")
    ax.set_xlabel("how often a was doubled")
    ax.set_ylabel("seconds")
    ax.grid(True, color="0.9")
    ax.legend(frameon=False)


lesson.show(plot.plot_multi(draw_times, 1, 1, (7, 3.6)), options, "4_paths")

# %% [markdown]
# Why does `backward` use a list of its own, `ready`, where `send` called itself?
# Because graphs are deep. A recurrent net that reads 10,000 words is a graph with
# 10,000 steps in a row, and Python stops a function that calls itself too often.


# %%
def long_chain(start, one, steps=10_000):
    result = start
    for _ in range(steps):
        result = result + one
    return result


chain = long_chain(Number(0.0), Number(1.0))
print("Python's limit:", sys.getrecursionlimit())
try:
    send(chain, 1.0)
except RecursionError as error:
    print("10,000 steps, calling itself: RecursionError:", str(error)[:32])

start = Number(0.0)
backward(long_chain(start, Number(1.0)))
print("10,000 steps, with a list:", start.grad)

leaf = mt.zeros(1, requires_grad=True)
long_chain(leaf, 1.0).backward()
print("10,000 steps, the library:", leaf.grad.item())

# %% [markdown]
# ## From numbers to arrays
#
# `Number` is a whole autograd engine. What it lacks is speed: every addition is a
# Python object. Arrays change that. A `Tensor` is one node for a whole array of
# numbers, its operation works on all of them at once, and so does its gradient.
# Nothing else changes: the same graph, the same order, the same walk.

# %%
w = mt.tensor([[0.8]], requires_grad=True)
x = mt.tensor([[1.5]], requires_grad=True)
b = mt.tensor([-0.5], requires_grad=True)
result = (w @ x + b).tanh() * w
result.backward()
print("the neuron again:", [round(t.grad.item(), 6) for t in (w, x, b)])

# %% [markdown]
# But what is a "local slope" when y has 1,000 elements and x has 1,000? A million
# numbers, the *Jacobian*: each element of y by each element of x. For one layer of a
# small net:

# %%
n, ins, outs = 64, 784, 100
print(f"x is {n} × {ins}, y is {n} × {outs}")
print(f"Jacobian: {n * ins * n * outs:,} numbers; gradient: {n * ins:,}")

# %% [markdown]
# Nobody wants to store that, and nobody needs to. The walk arrives with G, the slope
# of the loss in each element of y, and wants the slope in each element of x. So an
# operation does not have to know its Jacobian J. It has to know how to *multiply*
# with it: given G, return Jᵀ·G. That is its `backward`.
#
# ### Broadcasting, undone
#
# The bias of a layer is one row, and it is added to every row of a batch:
# yᵢⱼ = xᵢⱼ + bⱼ. That is *broadcasting*. Since bⱼ is used once for every row, its
# gradient is the sum of the gradients of all its uses:
#
# $$
# \frac{\partial L}{\partial b_j} = \sum_i \frac{\partial L}{\partial y_{ij}}
# $$
#
# **Where forward copies, backward sums.** (And where forward sums, backward copies.)
# It is the same rule as for b = a + a, with more than two uses.

# %%
rng = np.random.default_rng(options.seed)
x = mt.tensor(rng.integers(0, 9, (4, 3)).astype(np.float32), requires_grad=True)
b = mt.tensor([10.0, 20.0, 30.0], requires_grad=True)
G = mt.tensor(rng.integers(-3, 4, (4, 3)).astype(np.float32))
y = x + b
y.backward(G)
print("x", x.shape, "+ b", b.shape, "→ y", y.shape)
print("gradient of b:", b.grad.tolist(), "  columns of G:", host(G).sum(0).tolist())


# %%
def draw_broadcast(i, j, ax):
    panels = [
        (host(b)[None], "b, shape (3,)"),
        (np.broadcast_to(host(b), (4, 3)), "forward: copied to (4, 3)"),
        (host(G), "G, shape (4, 3)"),
        (host(b.grad)[None], "backward: summed to (3,)"),
    ]
    values, title = panels[j]
    cmap, most = ("Blues", 60) if j < 2 else ("PuOr", 16)
    ax.imshow(values, cmap=cmap, vmin=0 if j < 2 else -most, vmax=most)
    for (r, c), value in np.ndenumerate(values):
        ax.text(c, r, f"{value:.0f}", ha="center", va="center")
    ax.set_ylim(3.5, -0.5)
    ax.set_title(title, fontsize=11)
    ax.axis("off")


lesson.show(plot.plot_multi(draw_broadcast, 1, 4, (11, 3.4)), options, "5_broadcast")

# %% [markdown]
# In general: shapes are aligned at their right ends. Axes that one of them lacks, and
# axes of length 1, are stretched. Those are the axes to sum over.


# %%
def axes_to_sum(small, large):
    lead = len(large) - len(small)
    stretched = [i + lead for i, n in enumerate(small) if n == 1 < large[i + lead]]
    return (*range(lead), *stretched)


print("shape         to            sum over")
for small, large in (
    ((3,), (4, 3)),
    ((4, 1), (4, 3)),
    ((1, 8, 1, 1), (16, 8, 7, 7)),
    ((5, 1, 2), (6, 5, 4, 2)),
    ((), (4, 3)),
):
    t = mt.ones(*small, requires_grad=True)
    weights = rng.standard_normal(large).astype(np.float32)
    (t * mt.tensor(weights)).sum().backward()
    by_hand = weights.sum(axes_to_sum(small, large)).reshape(small)
    assert t.grad.shape == small and np.allclose(host(t.grad), by_hand, atol=1e-4)
    print(f"{small!s:13} {large!s:13} {axes_to_sum(small, large)}")

# %% [markdown]
# ### The matrix product
#
# One rule carries most of the work of every network. Write the product with all its
# indices, and ask where xᵢₖ occurs:
#
# $$
# y_{ij} = \sum_k x_{ik} w_{kj}
# \qquad\Rightarrow\qquad
# \frac{\partial L}{\partial x_{ik}} = \sum_j G_{ij} w_{kj}
# \qquad
# \frac{\partial L}{\partial w_{kj}} = \sum_i x_{ik} G_{ij}
# $$
#
# xᵢₖ occurs in row i of y, in every column j, with the factor wₖⱼ. Read the sums as
# matrix products, and they are dX = G·Wᵀ and dW = Xᵀ·G. There is a way to remember
# them: from G and W, only this order and this transpose give the shape of X.

# %%
X, W = rng.standard_normal((5, 4)), rng.standard_normal((4, 3))
G = rng.standard_normal((5, 3))


def judged(loss, array, h=1e-6):
    """Central differences of `loss` in every element of an array."""
    slopes = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        step = np.zeros_like(array)
        step[place] = h
        slopes[place] = (loss(array + step) - loss(array - step)) / (2 * h)
    return slopes


tX, tW = mt.tensor(X, requires_grad=True), mt.tensor(W, requires_grad=True)
(tX @ tW).backward(mt.tensor(G))
for name, rule, found, numeric in (
    ("dX = G·Wᵀ", G @ W.T, tX.grad, judged(lambda X: (X @ W * G).sum(), X)),
    ("dW = Xᵀ·G", X.T @ G, tW.grad, judged(lambda W: (X @ W * G).sum(), W)),
):
    to_library, to_judge = abs(rule - host(found)).max(), abs(rule - numeric).max()
    print(f"{name}: library differs by {to_library:.1e}, differences by {to_judge:.1e}")

# %% [markdown]
# ## A second `backward()`
#
# Three questions that everybody asks in the first week, and the answers.
#
# **Where do the gradients go?** Into `.grad` of the *leaves*, the tensors that you
# made and that ask for it. They are **added** to what is there:

# %%
w = mt.tensor([1.0, 2.0], requires_grad=True)
for _ in range(3):
    loss = (w * w).sum()
    loss.backward()
    print("gradient:", w.grad.tolist())

# %% [markdown]
# The gradient is 2w, [2, 4], every time, and `.grad` is the sum of all three. That is
# wanted when a batch is too large for the memory: run it in two halves, and the sum
# of both gradients is that of the whole. It is a mistake everywhere else. So zero the
# gradients of everything that the optimiser moves, once for each of its steps, before
# `backward`. `optimizer.zero_grad()` does that for its own parameters. It knows no
# other leaves; those are yours.

# %%
batch = mt.tensor(rng.standard_normal((6, 2)).astype(np.float32))
w.grad = None
((batch @ w) ** 2).sum().backward()
whole, w.grad = w.grad, None
for half in (batch[:3], batch[3:]):
    ((half @ w) ** 2).sum().backward()
gap = (whole - w.grad).abs().max() / whole.abs().max()
print(f"two halves and the whole differ by {gap.item():.0e} of the gradient")

# %% [markdown]
# **Can I walk through the same graph again?** Not as it is. For w·w the walk needs
# the value of w, so the node keeps it. In a deep net such arrays add up, layer by
# layer, so the walk drops each of them as soon as it has been used. Afterwards the
# graph is a skeleton:

# %%
loss = (w * w).sum()
loss.backward()
try:
    loss.backward()
except RuntimeError as error:
    print(textwrap.fill(f"RuntimeError: {error}", 80))

w.grad = None
loss = (w * w).sum()
loss.backward(retain_graph=True)
loss.backward()
print("twice, with retain_graph=True:", w.grad.tolist())

# %% [markdown]
# You will need that rarely. In most programs that raise this error, the graph should
# not have been used twice: a state was carried from one batch to the next with its
# history (lesson 10 cuts it off), or a loss was kept to be added up.
#
# **What about the numbers in between?** They have no `.grad` in the library: a walk
# keeps its sums in a table of its own, and throws the table away. Our engine keeps
# them on the nodes, and there they pile up. Walk twice:

# %%
a, c = doubled(2)
backward(c)
backward(c)
print("two walks, each 4: it should be 8, and is", a.grad)

# %% [markdown]
# b still had its 2 from the first walk, received 2 more, and passed on all 4. To use
# such an engine, zero *every* node, or build the graph anew each time.
#
# ### Computing without a graph
#
# A graph costs memory, and sometimes it is wrong to have one. `no_grad` records
# nothing: for validation, and for the optimiser's own step. `detach` gives the same
# values without their history: to the walk, a constant.

# %%
with mt.no_grad():
    print("under no_grad: requires_grad =", (w * w).requires_grad)

w.grad = None
(w * w.detach()).sum().backward()
print("w times a constant that equals w:", w.grad.tolist(), " w·w gave [2.0, 4.0]")

# %% [markdown]
# One trap is left. The walk needs the values from the forward pass. Change them in
# between, and the slopes would be those of another function. The library counts such
# changes and refuses:

# %%
loss = (w * w).sum()
w.copy_(mt.tensor([5.0, 6.0]))
try:
    loss.backward()
except RuntimeError as error:
    print(textwrap.fill(f"RuntimeError: {error}", 80))

# %% [markdown]
# ## Gradients of gradients
#
# A gradient is a number that was computed, and computing is what a graph records. So
# record the walk too, with `create_graph=True`, and differentiate again. `mt.grad`
# returns gradients instead of putting them into `.grad`.

# %%
at = np.linspace(-4, 4, 201)
x = mt.tensor(at, requires_grad=True)
orders = [x.tanh()]
for _ in range(3):
    (slope,) = mt.grad(orders[-1].sum(), x, create_graph=True)
    orders.append(slope)

t = np.tanh(at)
formulas = [t, 1 - t**2, -2 * t * (1 - t**2), (6 * t**2 - 2) * (1 - t**2)]
for order, (found, formula) in enumerate(zip(orders, formulas, strict=True)):
    print(f"order {order}: off by {np.abs(host(found) - formula).max():.1e}")


def draw_orders(i, j, ax):
    names = "tanh x", "first derivative", "second", "third"
    for found, name, colour in zip(orders, names, plot.PALETTE, strict=False):
        ax.plot(at, host(found), color=colour, label=name, linewidth=2)
    ax.set_xlabel("x")
    ax.grid(True, color="0.9")
    ax.legend(frameon=False, loc="lower right")


lesson.show(plot.plot_multi(draw_orders, 1, 1, (8, 4)), options, "6_orders")

# %% [markdown]
# (Why does the sum do no harm? Element i of tanh depends on element i of x only, so
# the gradient of the sum holds each element's own derivative.)
#
# What is it good for? A loss may contain a gradient: the *gradient penalty* of
# lesson 8 asks a network not to be too steep. And with second derivatives we can
# minimise faster. A step of **Newton's method** looks at the slope g and at how the
# slope changes, the matrix H of second derivatives, and jumps to the bottom of the
# parabola that has both: x ← x − H⁻¹·g. The test is Rosenbrock's valley, narrow, bent,
# and nearly flat along its floor. Its lowest point is (1, 1).


# %%
def valley(p):
    x, y = p[0], p[1]
    return (1 - x) ** 2 + 100 * (y - x * x) ** 2


def slope_and_bend(p):
    """The gradient (2,) and the matrix of second derivatives (2, 2), in NumPy."""
    p = mt.tensor(p, requires_grad=True)
    (g,) = mt.grad(valley(p), p, create_graph=True)
    rows = [host(mt.grad(g[i], p, retain_graph=True)[0]) for i in range(2)]
    return host(g), np.stack(rows)


newton = [np.array([-1.2, 1.0])]
for _ in range(6):
    g, H = slope_and_bend(newton[-1])
    newton.append(newton[-1] - np.linalg.solve(H, g))
for k, p in enumerate(newton):
    print(f"Newton, step {k}: ({p[0]:.6f}, {p[1]:.6f}), value {valley(p):.1e}")

descent = [np.array([-1.2, 1.0])]
for _ in range(200 if options.quick else 1000):
    p = mt.tensor(descent[-1], requires_grad=True)
    (g,) = mt.grad(valley(p), p)
    descent.append(descent[-1] - 1e-3 * host(g))
print(f"gradient descent, {len(descent) - 1} steps: value {valley(descent[-1]):.1e}")


# %%
def draw_valley(i, j, ax):
    x, y = np.meshgrid(np.linspace(-1.7, 1.7, 200), np.linspace(-3.6, 2.2, 200))
    values = np.log10(valley((x, y)) + 1e-3)
    ax.contourf(x, y, values, levels=18, cmap="Greys_r", alpha=0.6)
    for name, path, colour, style in (
        ("gradient descent", descent, plot.ORANGE, "-"),
        ("Newton", newton, plot.BLUE, "o-"),
    ):
        label = f"{name}, {len(path) - 1} steps"
        ax.plot(*np.transpose(path), style, color=colour, label=label, linewidth=2)
    ax.plot(1, 1, "*", color=plot.VERMILLION, markersize=14, label="the minimum")
    ax.set_xlabel("x")
    ax.set_ylabel("y")
    ax.legend(loc="lower center")


lesson.show(plot.plot_multi(draw_valley, 1, 1, (7, 5)), options, "7_newton")

# %% [markdown]
# Look at the last values: near the minimum each step at least doubles the number of
# right digits. Why is not every network trained like this? H has a row and a column
# for each weight: for a million weights, a million million numbers. The product of H
# with *one* vector, though, costs no more than a few gradients. Exercise 1.5 asks you
# to find out how.
#
# ## An operation of your own
#
# The library's operations are classes like the following one, which is *softmax*: it
# turns scores into probabilities, y = exp(x)/Σexp(x). Element i of y depends on every
# element of x, and its local slopes are ∂yᵢ/∂xⱼ = yᵢ·(δᵢⱼ − yⱼ), where δᵢⱼ is 1 for
# i = j and 0 otherwise. Multiply by the arriving gradient g and sum over i:
#
# $$
# \frac{\partial L}{\partial x_j} = \sum_i g_i \, y_i (δ_{ij} - y_j)
#                                 = y_j \Big( g_j - \sum_i g_i y_i \Big)
# $$
#
# Two rules make it fit in. `forward` works on **arrays** and says with `save` what
# `backward` will read. `xp` is the library that the arrays belong to, NumPy or CuPy.
# `backward` works on **tensors**: it is a computation like any other, so it can be
# recorded, and the second derivative comes free.


# %%
class Softmax(Function):
    """y = exp(x)/Σexp(x) along the last axis;  dx = y·(dy − Σ dy·y)"""

    def forward(self, xp, x):
        e = xp.exp(x - x.max(axis=-1, keepdims=True))  # the largest is 1: no overflow
        y = e / e.sum(axis=-1, keepdims=True)
        self.save(y)
        return y

    def backward(self, grad):
        (y,) = self.saved
        return y * (grad - (grad * y).sum(-1, keepdim=True))


scores = mt.tensor(rng.standard_normal((3, 5)), requires_grad=True)  # float64
same = (Softmax()(scores) - F.softmax(scores, -1)).abs().max().item()
print(f"differs from the library's by {same:.1e}")
print("gradcheck:", mt.gradcheck(lambda x: Softmax()(x), scores))
print("gradgradcheck:", mt.gradgradcheck(lambda x: Softmax()(x), scores))

# %% [markdown]
# `gradcheck` compares with central differences, in float64, element by element. Would
# it have noticed a mistake? Never trust a test that you have not seen fail. Here are
# three wrong rules. The first forgets everything, the second forgets the factor y, and
# the third takes the mean where it should take the weighted sum.


# %%
class Nothing(Softmax):
    def backward(self, grad):
        return 0.0 * grad


class NoFactor(Softmax):
    def backward(self, grad):
        (y,) = self.saved
        return grad - (grad * y).sum(-1, keepdim=True)


class PlainMean(Softmax):
    def backward(self, grad):
        (y,) = self.saved
        return y * (grad - grad.mean(-1, keepdim=True))


# %% [markdown]
# A check has to start from some gradient of the output, the *cotangent*. The natural
# one to try is all ones, that is, to sum the output up and differentiate the sum. The
# other choice is random numbers.

# %%
print(f"{'rule':10} all ones  random")
for rule in (Softmax, Nothing, NoFactor, PlainMean):
    with_ones = mt.gradcheck(
        lambda x, rule=rule: rule()(x).sum(), scores, raise_exception=False
    )
    random = mt.gradcheck(lambda x, rule=rule: rule()(x), scores, raise_exception=False)
    words = ["passes" if ok else "fails" for ok in (with_ones, random)]
    print(f"{rule.__name__:10} {words[0]:9} {words[1]}")

# %% [markdown]
# **All ones notices nothing.** Of course: probabilities sum to 1, whatever the scores
# are. The sum is a constant, its true gradient is zero, and each wrong rule gets zero
# right. The same blindness meets batch norm, whose output has mean 0 by construction:

# %%
channels = mt.tensor(rng.standard_normal((8, 3)), requires_grad=True)


def normed(x):
    return F.batch_norm(x, None, None, training=True)


for name, cotangent in (
    ("all ones", mt.tensor(np.ones((8, 3)))),
    ("random", mt.tensor(rng.standard_normal((8, 3)))),
):
    (g,) = mt.grad(normed(channels), channels, cotangent)
    print(f"batch norm, {name}: largest gradient {g.abs().max().item():.1e}")

# %% [markdown]
# So `gradcheck` draws its cotangents at random, and tells you where it fails:

# %%
try:
    mt.gradcheck(lambda x: PlainMean()(x), scores)
except AssertionError as error:
    print(textwrap.fill(str(error).splitlines()[0], 80))

# %% [markdown]
# ## The graph of a network
#
# Now look at a real one: two layers, a batch of 64 points, cross entropy. `graph_of`
# lists what was recorded, and `plot.draw_graph` draws the list. What goes along the
# arrows are arrays, so each has its shape.

# %%
mt.manual_seed(options.seed)
model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 3))
loss = F.cross_entropy(model(mt.randn(64, 2)), mt.tensor(np.arange(64) % 3))
graph = graph_of(loss, {**dict(model.named_parameters()), "loss": loss})
kinds = [kind for kind, _ in graph.nodes.values()]
print(f"{kinds.count('operation')} operations, {kinds.count('leaf')} leaves")
lesson.show(plot.draw_graph(graph), options, "8_graph")

# %% [markdown]
# Read it against the arrows, as the walk does: the slope 1 comes in at the bottom,
# and each arrow carries, upwards, a gradient of the very shape that it carried
# downwards. Find the place where broadcasting is undone: (64, 16) has to become (16,)
# on the way to `0.bias`. (`Permute` is the transpose: the weight of a linear layer has
# a row for each output, and the layer computes x·Wᵀ + b.) And where are the 64 points?
# Nobody asked for their gradient. So the first product kept what *it* needs of them,
# and no arrow leads there.
#
# A residual block, from lesson 3: x is used twice, so two gradients arrive at x, and
# must both be there before x is done.

# %%
block = nn.res_block(8)
x = mt.randn(4, 8, 14, 14, requires_grad=True)
graph = graph_of(block(x), {"x": x, **dict(block.named_parameters())})
lesson.show(plot.draw_graph(graph), options, "9_residual")

# %% [markdown]
# ## Both engines, one network
#
# Does the `Number` of this page train a network? Two half moons that reach into one
# another, a net with two layers of tanh in float64, the squared distance to ±1 as the
# loss, and plain gradient descent on batches of 20. First with the library.

# %%
n_points, bs = 200, 20
n_steps = 100 if options.quick else 400
turn = rng.uniform(0, np.pi, n_points)
side = np.where(np.arange(n_points) % 2, 1.0, -1.0)
points = side[:, None] * np.stack([np.cos(turn) - 0.5, np.sin(turn) - 0.25], 1)
points += 0.12 * rng.standard_normal(points.shape)  # (200, 2)


def first_weights(hidden, seed=options.seed):
    """The same for both engines: (2, h), (h,), (h, h), (h,), (h, 1), (1,)."""
    draw, sizes, weights = np.random.default_rng(seed), (2, hidden, hidden, 1), []
    for ins, outs in zip(sizes, sizes[1:], strict=False):
        weights += [draw.standard_normal((ins, outs)) / ins**0.5, np.zeros(outs)]
    return weights


def batch_of(step):
    some = np.arange(step * bs, (step + 1) * bs) % n_points
    return points[some], side[some]


def net(x, W1, b1, W2, b2, W3, b3):
    return ((x @ W1 + b1).tanh() @ W2 + b2).tanh() @ W3 + b3  # (N, 1)


def train_tensors(hidden, steps, lr=0.5):
    weights = [mt.tensor(w, requires_grad=True) for w in first_weights(hidden)]
    losses = []
    for step in range(steps):
        x, target = batch_of(step)
        off = net(mt.tensor(x), *weights)[:, 0] - mt.tensor(target)
        loss = (off * off).mean()
        gradients = mt.grad(loss, weights)
        with mt.no_grad():
            for w, g in zip(weights, gradients, strict=True):
                w.copy_(w - lr * g)
        losses.append(loss.detach())
    return [host(w) for w in weights], [float(loss) for loss in losses]


# %% [markdown]
# The same, number by number. A matrix product is now two loops, and a layer is a sum
# for each of its outputs.


# %%
def layer(x, W, b):
    """x a list of numbers, W a list of rows, b a list: xᵀ·W + b."""
    out = list(b)
    for value, row in zip(x, W, strict=True):
        out = [total + value * weight for total, weight in zip(out, row, strict=True)]
    return out


def small_net(x, W1, b1, W2, b2, W3, b3):
    x = [h.tanh() for h in layer(x, W1, b1)]
    x = [h.tanh() for h in layer(x, W2, b2)]
    return layer(x, W3, b3)[0]


def numbers(array):
    """Nested lists of Numbers in the place of an array."""
    if isinstance(array, float):
        return Number(array)
    return [numbers(part) for part in array]


def flat(nested):
    """All the Numbers in nested lists, in a row."""
    if isinstance(nested, Number):
        return [nested]
    return [number for part in nested for number in flat(part)]


def train_numbers(hidden, steps, lr=0.5):
    weights = [numbers(w.tolist()) for w in first_weights(hidden)]
    losses, share = [], Number(1 / bs)
    for step in range(steps):
        loss = Number(0.0)
        for x, target in zip(*batch_of(step), strict=True):
            off = small_net(numbers(x.tolist()), *weights) - Number(float(target))
            loss = loss + off * off
        loss = loss * share
        backward(loss)
        for w in flat(weights):
            w.value -= lr * w.grad
            w.grad = 0.0
        losses.append(loss.value)
    shapes = [w.shape for w in first_weights(hidden)]
    values = [np.array([n.value for n in flat(w)]) for w in weights]
    return [v.reshape(s) for v, s in zip(values, shapes, strict=True)], losses


hidden, trained, curves = 8, {}, {}
for name, train in (("library", train_tensors), ("Number", train_numbers)):
    start = time.perf_counter()
    trained[name], curves[name] = train(hidden, n_steps)
    took = time.perf_counter() - start
    last = curves[name][-1]
    print(f"{name:8} {n_steps} steps in {took:5.2f} s, last loss {last:.6f}")
gaps = [abs(a - b).max() for a, b in zip(*trained.values(), strict=True)]
count = sum(w.size for w in trained["Number"])
print(f"all {count} weights agree to {max(gaps):.1e}")
right = np.sign(host(net(mt.tensor(points), *map(mt.tensor, trained["Number"])))[:, 0])
print(f"points on the right side: {np.mean(right == side):.1%}")

# %% [markdown]
# The weights agree to rounding, after all these steps. Two engines that were written
# apart are hardly wrong in the same way. What differs is the time, and it differs
# more, the larger the net:

# %%
widths = (2, 4, 8, 16) if options.quick else (2, 4, 8, 16, 32, 64)
took = {"library": [], "Number": []}
for width in widths:
    took["Number"].append(seconds(train_numbers, width, 1, tries=1))
    took["library"].append(seconds(train_tensors, width, 5) / 5)
sizes = [sum(w.size for w in first_weights(width)) for width in widths]
print("weights   Number   library   (milliseconds a step)")
for size, slow, fast in zip(sizes, took["Number"], took["library"], strict=True):
    print(f"{size:7,} {1000 * slow:8.1f} {1000 * fast:9.1f}")


# %%
def draw_both(i, j, ax):
    if j == 2:
        ax.loglog(sizes, took["Number"], "o-", color=plot.VERMILLION, label="Number")
        ax.loglog(sizes, took["library"], "o-", color=plot.BLUE, label="library")
        ax.set_xticks(sizes, [f"{size:,}" for size in sizes])
        ax.minorticks_off()
        ax.set_xlabel("weights")
        ax.set_ylabel("seconds a step")
        ax.legend(frameon=False)
        ax.grid(True, color="0.9")
        return
    name = ("library", "Number")[j]
    x, y = np.meshgrid(np.linspace(-2, 2, 60), np.linspace(-1.6, 1.6, 60))
    weights = trained[name]
    if name == "library":
        grid = mt.tensor(np.stack([x.ravel(), y.ravel()], 1))
        scores = host(net(grid, *map(mt.tensor, weights)))
    else:
        lists = [numbers(w.tolist()) for w in weights]
        places = zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
        scores = np.array([small_net(numbers(p), *lists).value for p in places])
    scores = scores.reshape(x.shape)
    levels = np.linspace(-1.6, 1.6, 17)
    ax.contourf(x, y, scores, levels, cmap="PuOr", extend="both", alpha=0.6)
    ax.contour(x, y, scores, levels=[0], colors="black")
    for s, colour in ((-1, plot.ORANGE), (1, plot.PURPLE)):
        ax.plot(*points[side == s].T, "o", color=colour, mec="black", markersize=4)
    ax.set_title(f"{name}, {count} weights")


lesson.show(plot.plot_multi(draw_both, 1, 3, (14, 4.4)), options, "10_both")

# %% [markdown]
# `Number` makes a Python object for every product of two numbers, the library one for
# every product of two arrays. That, and compiled code that runs through an array, is
# the whole difference.
#
# ## What the library does
#
# | here | there |
# |---|---|
# | a tensor, its `.grad` and `grad_fn` | `minitorch7/autograd/tensor.py:17` `Tensor` |
# | `Function`: forward and backward | `minitorch7/autograd/function.py:19` `Function` |
# | `save`: what backward reads | `minitorch7/autograd/function.py:164` `save` |
# | `backward` | `minitorch7/autograd/walk.py:18` `Walk` |
# | the topological order | `minitorch7/autograd/walk.py:247` `_sorted_nodes` |
# | gradients that add up in a table | `minitorch7/autograd/walk.py:142` `_send` |
# | `mt.grad` | `minitorch7/autograd/walk.py:183` `grad` |
# | saved arrays dropped after use | `minitorch7/autograd/function.py:227` `release` |
# | `no_grad` | `minitorch7/autograd/state.py:43` `no_grad` |
# | `detach` | `minitorch7/autograd/tensor.py:192` `detach` |
# | broadcasting, undone | `minitorch7/functional/broadcasting.py:57` `sum_to` |
# | the matrix product | `minitorch7/functional/products.py:23` `MatMul` |
# | softmax | `minitorch7/functional/reductions.py:231` `Softmax` |
# | `gradcheck` | `minitorch7/gradcheck/__init__.py:48` `gradcheck` |
# | its random cotangents | `minitorch7/gradcheck/__init__.py:210` `_cotangent` |
# | the graph as a list | `minitorch7/autograd/graph.py:28` `graph_of` |
# | its drawing | `minitorch7/plot/graph.py:42` `draw_graph` |
#
# ## Try it
#
# Write your answer in a cell below, or in
# `python -i lessons/01_tensors_and_gradients.py --quick`, and ask whether it is right:
#
#     from exercises import check
#     check("1.1", your_answer)
#
# **1.1** The central difference made the term with h cancel. With four values of f,
# at x ± h and x ± 2h, the term with h² cancels too. Write `slope(f, x, h)` whose
# error falls with h⁴. (Combine two central differences, of steps h and 2h, so that
# their errors h²·f‴/6 and 4h²·f‴/6 cancel.)
#
# **1.2** Ten times in a row, x is replaced by `x * x + x`. Each step makes two new
# numbers, so the last graph has 21. How many visits does `send` need for it? Answer
# with the number; find the rule for one step before you count.
#
# **1.3** Write `undo(gradient, shape)`: `gradient` is a NumPy array, the gradient of
# something that was broadcast from `shape`. Return the gradient of the thing itself.
#
# **1.4** Predict, then check. What is `x.grad` at the end?
#
#     x = mt.tensor(3.0, requires_grad=True)
#     y = x * x
#     y.backward(retain_graph=True)
#     z = y * x.detach()
#     z.backward()
#
# **1.5** Write `hessian_times(f, x, v)` with `mt.grad`, twice: the matrix of second
# derivatives of f at the tensor x, times the vector v, as a tensor, and without ever
# making the matrix. f takes a tensor (n,) and gives one number. (What is the gradient
# of g·v, if g is the gradient of f, and v is a constant?)
#
# **1.6** Write `CumulativeSum`, a `Function` with yᵢ = x₀ + … + xᵢ along the last
# axis. Which outputs does xⱼ occur in? The answer is the class itself. The check looks
# at first and second derivatives.
#
# And without a check, because the answer is a training run:
#
# - Give `Number` an `exp` and a `log`, and train the moons with
#   the logistic loss log(1 + exp(−side·score)). How many points are on the right side?
# - Let `train_numbers` forget `w.grad = 0.0`. Does it still learn? Look at the losses,
#   and say what the sum of all gradients so far has to do with momentum.
# - Forward mode: let each number carry its slope in *one* chosen input along, next to
#   its value. How many runs does the gradient of a net with n weights take then?
#   For which functions is forward mode the better one?
# - Replace tanh by a step (0 or 1) in both engines. What do the gradients say, and
#   what does that mean for training?
#
# ## Sources
#
# Baydin, Pearlmutter, Radul, Siskind, *Automatic differentiation in machine learning:
# a survey* (arXiv 1502.05767). Griewank, Walther, *Evaluating derivatives* (SIAM 2008),
# chapters 3 and 4. Linnainmaa, *Taylor expansion of the accumulated rounding error*
# (BIT 1976). Rumelhart, Hinton, Williams, *Learning representations by back-propagating
# errors* (Nature 1986). Kahn, *Topological sorting of large networks* (CACM 1962).
# Pearlmutter, *Fast exact multiplication by the Hessian* (Neural Computation 1994).
# Rosenbrock, *An automatic method for finding the greatest or least value of a
# function* (Computer Journal 1960). Sugiyama, Tagawa, Toda, *Methods for visual
# understanding of hierarchical system structures* (IEEE Trans. SMC 1981), for the
# drawing of graphs.
