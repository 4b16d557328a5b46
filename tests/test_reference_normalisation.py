"""Normalisations against the loops of ``reference/normalisation.py``."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from reference import normalisation as ref
from reference.checking import (
    TOLERANCE,
    agree,
    batch_last,
    compare,
    examples,
    normal,
    positive,
    rngs,
    spread,
)

import minitorch7 as mt
from minitorch7 import functional as F

places = st.lists(st.integers(1, 4), max_size=3)
momenta = st.sampled_from([0.1, 0.3, 1.0])
epsilons = st.sampled_from([1e-5, 1e-3])


def affine(rng, present, *shape):
    """(weight, bias) of a shape, each there or None."""
    has_weight, has_bias = present
    return (
        normal(rng, *shape) if has_weight else None,
        normal(rng, *shape) if has_bias else None,
    )


present = st.tuples(st.booleans(), st.booleans())


def agree_with_running(backend, operation, reference, x, running, *options):
    """`agree`, for an operation that also moves its running statistics."""
    expected_running = [r.copy() for r in running]
    expected = reference(x, *expected_running, *options)
    for precision, tolerance in TOLERANCE.items():
        for order in (np.copy, batch_last):

            def to_tensor(value, precision=precision, order=order):
                is_array = isinstance(value, np.ndarray)
                return mt.tensor(order(value.astype(precision))) if is_array else value

            tensors = [to_tensor(r) for r in running]
            y = operation(to_tensor(x), *tensors, *(to_tensor(o) for o in options))
            where = f"{precision}, {order.__name__} memory"
            compare(y, expected, precision, tolerance, backend, where)
            for tensor, wanted in zip(tensors, expected_running, strict=True):
                compare(tensor, wanted, precision, tolerance, backend, f"running, {where}")


@examples
@given(
    batch=st.integers(2, 3),
    channels=st.integers(1, 3),
    places=places,
    training=st.booleans(),
    present=present,
    momentum=momenta,
    eps=epsilons,
    rng=rngs,
)
def test_batch_norm(backend, batch, channels, places, training, present, momentum, eps, rng):
    x = spread(rng, batch, channels, *places)
    running = normal(rng, channels), positive(rng, channels)
    options = (*affine(rng, present, channels), training, momentum, eps)
    agree_with_running(backend, F.batch_norm, ref.batch_norm, x, running, *options)


@examples
@given(channels=st.integers(1, 3), places=places, present=present, rng=rngs)
def test_batch_norm_without_running_statistics(backend, channels, places, present, rng):
    x = spread(rng, 2, channels, *places)
    weight, bias = affine(rng, present, channels)
    agree(backend, F.batch_norm, ref.batch_norm, x, None, None, weight, bias, True)


@examples
@given(channels=st.integers(1, 3), places=places, rng=rngs)
def test_batch_norm_of_an_empty_batch_in_evaluation(backend, channels, places, rng):
    running = normal(rng, channels), positive(rng, channels)
    agree(backend, F.batch_norm, ref.batch_norm, np.zeros((0, channels, *places)), *running)


@examples
@given(
    lead=st.lists(st.integers(0, 3), max_size=2),
    shape=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    present=present,
    eps=epsilons,
    rng=rngs,
)
def test_layer_norm(backend, lead, shape, present, eps, rng):
    x = spread(rng, *lead, *shape)
    weight, bias = affine(rng, present, *shape)
    agree(backend, F.layer_norm, ref.layer_norm, x, tuple(shape), weight, bias, eps)


@examples
@given(
    batch=st.integers(0, 2),
    groups=st.integers(1, 3),
    size=st.integers(1, 2),
    places=places,
    present=present,
    eps=epsilons,
    rng=rngs,
)
def test_group_norm(backend, batch, groups, size, places, present, eps, rng):
    x = spread(rng, batch, groups * size, *places)
    weight, bias = affine(rng, present, groups * size)
    agree(backend, F.group_norm, ref.group_norm, x, groups, weight, bias, eps)


@examples
@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    height=st.integers(1, 3),
    use_input_stats=st.booleans(),
    present=present,
    momentum=momenta,
    eps=epsilons,
    rng=rngs,
)
def test_instance_norm(
    backend, batch, channels, height, use_input_stats, present, momentum, eps, rng
):
    x = spread(rng, batch, channels, height, 2)
    running = normal(rng, channels), positive(rng, channels)
    options = (*affine(rng, present, channels), use_input_stats, momentum, eps)
    agree_with_running(backend, F.instance_norm, ref.instance_norm, x, running, *options)


@examples
@given(batch=st.integers(1, 2), channels=st.integers(1, 3), places=places, rng=rngs)
def test_instance_norm_without_running_statistics(backend, batch, channels, places, rng):
    agree(backend, F.instance_norm, ref.instance_norm, spread(rng, batch, channels, *places, 3))


def test_instance_norm_of_an_empty_batch(backend):
    agree(backend, F.instance_norm, ref.instance_norm, np.zeros((0, 2, 3, 3)))


def test_a_mean_that_is_large_beside_the_spread(backend):
    """E[x²] - E[x]² would keep no digit of this one in float32."""
    x = np.arange(24.0).reshape(2, 3, 4) / 16 + 1024  # float32 holds these exactly
    agree(backend, F.batch_norm, ref.batch_norm, x, None, None, None, None, True)
    agree(backend, F.layer_norm, ref.layer_norm, x, (4,))
    agree(backend, F.group_norm, ref.group_norm, x, 1)
    agree(backend, F.instance_norm, ref.instance_norm, x)
