"""Every layer of the language, case by case: output, gradients, and what it leaves alone."""

from collections import Counter

import numpy as np
import pytest
from layer_contracts import LAYER_CASES, Passes

from cnntool.nn.gradcheck import check_gradient
from cnntool.nn.layer_words import LAYERS
from cnntool.nn.layers.table import LAYER_TYPES

each_case = pytest.mark.parametrize("case", LAYER_CASES, ids=lambda c: f"{c.text} of {c.shape}")
on_numpy = pytest.mark.parametrize("xp", ["numpy"], indirect=True)


def test_every_word_has_a_class():
    assert set(LAYER_TYPES) == set(LAYERS)


def test_every_word_has_two_cases():
    counts = Counter(case.word for case in LAYER_CASES)
    assert [word for word in LAYERS if counts[word] < 2] == []
    assert set(counts) == set(LAYERS)


def test_cases_differ_in_their_sizes():
    for case in LAYER_CASES:
        assert len({*case.shape, case.images}) >= len(case.shape), case


def test_every_setting_is_in_some_case():
    written = {word: set() for word in LAYERS}
    for case in LAYER_CASES:
        written[case.word] |= {name for name, _ in case.row.node.given}
    for word, entry in LAYERS.items():
        missing = {s.name for s in entry.settings if s.name not in written[word]}
        assert missing == set(), word


@each_case
def test_output_is_that_of_loops(case, xp, rng):
    passes = Passes(case, xp, rng)
    wanted = case.loops(passes.host_x, **passes.arrays)
    y = passes.predict()
    assert y.shape == (*case.row.output, case.images) == wanted.shape
    np.testing.assert_allclose(y, wanted, rtol=1e-10, atol=1e-11)


@each_case
@on_numpy
def test_gradients_of_training(case, xp, rng):
    passes = Passes(case, xp, rng)
    given = [passes.arrays[name] for name in passes.parameters]
    check_gradient(lambda *at: passes.vjp(*at, training=True), passes.x, *given, rng=rng)


@each_case
@on_numpy
def test_gradient_of_the_input_in_prediction(case, xp, rng):
    passes = Passes(case, xp, rng)
    y, _ = passes.layer.forward(passes.x, passes.run(input_gradient=True))
    np.testing.assert_array_equal(y, passes.predict())
    given = [passes.arrays[name] for name in passes.parameters]
    check_gradient(lambda *at: passes.vjp(*at, input_gradient=True), passes.x, *given, rng=rng)


@each_case
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_stay_and_nothing_moves_between_devices(case, dtype, xp, rng):
    passes = Passes(case, xp, rng, dtype)
    prediction, training = passes.run(), passes.run(training=True)
    grad = passes.to_device(rng.standard_normal((*case.row.output, case.images)))
    with xp.no_transfers(allow_float64=dtype == np.float64):
        y, _ = passes.layer.forward(passes.x, prediction)
        trained, backward = passes.layer.forward(passes.x, training)
        grad_x = backward(grad)
    assert y.dtype == trained.dtype == grad_x.dtype == dtype
    assert y.shape == trained.shape == (*case.row.output, case.images)
    assert grad_x.shape == passes.x.shape
    for gradient in passes.gradients(training):
        assert np.isfinite(gradient).all()  # it was not a number before: all of it was written


@each_case
@on_numpy
def test_both_libraries_agree(case, xp, double, rng):
    state = rng.bit_generator.state
    found = []
    for library in (xp, double):
        rng.bit_generator.state = state
        passes = Passes(case, library, rng, np.float32)
        y, backward = passes.vjp(
            passes.x, *(passes.arrays[name] for name in passes.parameters), training=True
        )
        grad = passes.to_device(rng.standard_normal((*case.row.output, case.images)))
        grad_x, *others = backward(grad)
        found.append([library.to_host(y), library.to_host(grad_x), *others])
    for host, device in zip(*found, strict=True):
        scale = max(float(np.abs(host).max(initial=0)), 1.0)
        np.testing.assert_allclose(device, host, rtol=0, atol=1e-5 * scale)


@each_case
def test_input_and_weights_stay_as_they_were(case, xp, rng):
    passes = Passes(case, xp, rng, np.float32)
    for options in ({}, {"training": True}, {"input_gradient": True}):
        run = passes.run(**options)
        kept = {name: xp.to_host(a).copy() for name, a in run.tensors.items()}
        y, backward = passes.layer.forward(passes.x, run)
        if backward is not None:
            backward(passes.to_device(rng.standard_normal(y.shape)))
        np.testing.assert_array_equal(xp.to_host(passes.x), passes.host_x.astype(np.float32))
        for name, a in run.tensors.items():
            np.testing.assert_array_equal(xp.to_host(a), kept[name])


@each_case
def test_batch_is_one_by_one(case, xp, rng):
    passes = Passes(case, xp, rng)
    single = [
        passes.predict(passes.to_device(passes.host_x[..., i : i + 1])) for i in range(case.images)
    ]
    np.testing.assert_allclose(
        passes.predict(), np.concatenate(single, axis=-1), rtol=1e-12, atol=1e-13
    )


@each_case
@on_numpy
def test_nothing_is_kept_between_two_passes(case, xp, rng):
    passes = Passes(case, xp, rng)
    before = dict(vars(passes.layer))
    inputs = [case.input(rng) for _ in range(2)]
    grads = [rng.standard_normal((*case.row.output, case.images)) for _ in range(2)]

    def alone(x, grad):
        run = passes.run(training=True)
        y, backward = passes.layer.forward(x, run)
        return [y.copy(), backward(grad.copy()), *passes.gradients(run)]

    wanted = [alone(x, grad) for x, grad in zip(inputs, grads, strict=True)]
    runs = [passes.run(training=True) for _ in range(2)]
    ways = [passes.layer.forward(x, run) for x, run in zip(inputs, runs, strict=True)]
    found = [
        [y.copy(), backward(grad.copy()), *passes.gradients(run)]
        for (y, backward), grad, run in zip(ways, grads, runs, strict=True)
    ]
    for ours, theirs in zip(found, wanted, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert vars(passes.layer) == before


@each_case
@on_numpy
def test_first_layers_give_no_gradient_unless_it_is_wanted(case, xp, rng):
    state = rng.bit_generator.state
    found = []
    for first in (False, True):
        rng.bit_generator.state = state
        passes = Passes(case, xp, rng, first=first)
        grad = rng.standard_normal((*case.row.output, case.images))
        for wanted in (False, True):
            run = passes.run(training=True, input_gradient=wanted)
            y, backward = passes.layer.forward(passes.x, run)
            grad_x = backward(grad.copy())
            assert (grad_x is None) == (first and not wanted)
            found.append([y, *passes.gradients(run), *([] if grad_x is None else [grad_x])])
    whole = found[0]
    for others in found[1:]:
        for a, b in zip(others, whole, strict=False):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


@each_case
def test_memory_with_gaps(case, xp, rng):
    passes = Passes(case, xp, rng)
    grad = passes.to_device(rng.standard_normal((*case.row.output, case.images)))
    found = []
    for spread in (False, True):
        x, there = passes.x, grad.copy()
        if spread:
            x, there = (with_gaps(a, passes) for a in (x, there))
        run = passes.run(training=True)
        y, backward = passes.layer.forward(x, run)
        y = xp.to_host(y).copy()
        found.append([y, xp.to_host(backward(there)), *passes.gradients(run)])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-12)


@each_case
def test_an_empty_batch_stays_empty(case, xp, rng):
    passes = Passes(case, xp, rng)
    nobody = passes.x[..., :0]
    assert passes.predict(nobody).shape == (*case.row.output, 0)
    run = passes.run(input_gradient=True)
    y, backward = passes.layer.forward(nobody, run)
    assert backward(y.copy()).shape == nobody.shape


def with_gaps(a, passes):
    """The same numbers as every second one of an array."""
    wide = passes.library.xp.zeros((*a.shape[:-1], 2 * a.shape[-1]), dtype=a.dtype)
    wide[..., ::2] = a
    return wide[..., ::2]
