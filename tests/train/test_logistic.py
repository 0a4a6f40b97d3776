"""Logistic regression against sums in loops, differences, and another way to the minimum."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from cnntool.errors import InputError, OptionError, ShapeError
from cnntool.train.logistic import Loss, fit_logistic


def problem(rng, count=40, length=5, classes=3):
    """Features of unlike means and spreads, and classes that overlap."""
    labels = rng.integers(0, classes, count)
    labels[:classes] = np.arange(classes)
    centres = rng.normal(size=(length, classes))
    features = centres[:, labels] + rng.normal(size=(length, count))
    return features * np.logspace(-1, 2, length)[:, None] + 7, labels


def plain_loss(vector, features, labels, classes, l2, counts=None):
    """The definition: a sum over samples, of standardised copies of the features."""
    mean, deviation = features.mean(axis=1), features.std(axis=1)
    weight = vector[: classes * len(features)].reshape(classes, -1)
    bias = vector[classes * len(features) :]
    counts = np.ones(classes) if counts is None else counts
    total = whole = 0.0
    for sample, label in zip(features.T, labels, strict=True):
        scores = [
            float(w @ ((sample - mean) / deviation)) + b for w, b in zip(weight, bias, strict=True)
        ]
        total -= counts[label] * math.log(math.exp(scores[label]) / sum(map(math.exp, scores)))
        whole += counts[label]
    return total / whole + l2 / 2 * float((weight**2).sum())


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("counts", [None, (1.0, 2.5, 0.5)])
def test_loss_and_gradient(counts, threads, rng):
    features, labels = problem(rng)
    loss = Loss(features, labels, 3, 0.1, counts, threads)
    vector = rng.normal(size=loss.size)
    before = vector.copy()
    value, gradient = loss(vector)
    assert value == pytest.approx(plain_loss(vector, features, labels, 3, 0.1, counts), rel=1e-12)
    step = 1e-5
    for place in range(loss.size):
        there = np.eye(loss.size)[place] * step
        up = plain_loss(vector + there, features, labels, 3, 0.1, counts)
        down = plain_loss(vector - there, features, labels, 3, 0.1, counts)
        assert gradient[place] == pytest.approx((up - down) / (2 * step), abs=1e-8)
    np.testing.assert_array_equal(vector, before)


def test_minimum_is_that_of_another_search(rng):
    features, labels = problem(rng, count=30, length=3)
    fit = fit_logistic(features, labels, 3, l2=0.05, max_iter=500)
    assert fit.converged
    other = minimize(  # no gradient, no limited memory
        plain_loss,
        np.zeros(12),
        (features, labels, 3, 0.05),
        method="BFGS",
        options={"gtol": 1e-6},
    )
    assert fit.loss == pytest.approx(other.fun, abs=2e-6)
    standard = (features - features.mean(axis=1)[:, None]) / features.std(axis=1)[:, None]
    wanted = other.x[:9].reshape(3, 3) @ standard + other.x[9:, None]
    found = fit.weight @ features + fit.bias[:, None]
    # only differences of scores mean anything
    np.testing.assert_allclose(found - found.mean(axis=0), wanted - wanted.mean(axis=0), atol=0.02)


def test_float32_finds_nearly_the_same(rng):
    features, labels = problem(rng, count=200, length=6)
    double = fit_logistic(features, labels, 3, l2=0.01)
    single = fit_logistic(features.astype(np.float32), labels, 3, l2=0.01)
    assert (single.weight.dtype, single.bias.dtype) == (np.float32, np.float32)
    assert (double.weight.dtype, double.bias.dtype) == (np.float64, np.float64)
    assert single.loss == pytest.approx(double.loss, abs=2e-6)


def test_units_do_not_matter(rng):
    features, labels = problem(rng)
    fit = fit_logistic(features, labels, 3, l2=0.01)
    moved = features * 1000 - 5
    again = fit_logistic(moved, labels, 3, l2=0.01)
    np.testing.assert_allclose(
        again.weight @ moved + again.bias[:, None],
        fit.weight @ features + fit.bias[:, None],
        atol=1e-3,
    )


def test_constant_features_are_left_alone(rng):
    features, labels = problem(rng)
    features[1] = 3.25
    fit = fit_logistic(features, labels, 3, l2=0.01)
    np.testing.assert_allclose(fit.weight[:, 1], 0, atol=1e-12)
    assert np.isfinite(fit.weight).all()


def test_a_weight_counts_like_copies(rng):
    features, labels = problem(rng)
    again = labels == 1
    # the copies must not change mean and deviation: compare gradients, not minima
    twice = np.concatenate([features, features[:, again]], axis=1)
    loss = Loss(twice, np.concatenate([labels, labels[again]]), 3, 0.1)
    weighted = Loss(features, labels, 3, 0.1, (1, 2, 1))
    weighted.mean, weighted.deviation = loss.mean, loss.deviation
    vector = rng.normal(size=loss.size)
    for found, wanted in zip(weighted(vector), loss(vector), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("threads", [2, 5, 100])
def test_threads_agree_to_rounding_and_repeat_to_the_bit(threads, rng):
    features, labels = problem(rng)
    alone = fit_logistic(features, labels, 3, l2=0.01)
    found = fit_logistic(features, labels, 3, l2=0.01, threads=threads)
    again = fit_logistic(features, labels, 3, l2=0.01, threads=threads)
    np.testing.assert_allclose(found.weight, alone.weight, atol=1e-2)
    np.testing.assert_array_equal(found.weight, again.weight)
    np.testing.assert_array_equal(found.bias, again.bias)


def test_reports_every_step_and_stops_when_told(rng):
    features, labels = problem(rng)
    told = []
    fit = fit_logistic(features, labels, 3, l2=0.01, report=lambda *step: told.append(step))
    assert [step[0] for step in told] == list(range(1, fit.iterations + 1))
    assert {step[1] for step in told} == {100}
    losses = [step[2] for step in told]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] == pytest.approx(fit.loss)
    short = fit_logistic(features, labels, 3, l2=0.01, report=lambda done, of, loss: done == 3)
    assert (short.iterations, short.converged) == (3, False)
    assert short.loss == pytest.approx(losses[2])
    limited = fit_logistic(features, labels, 3, l2=0.01, max_iter=3)
    assert (limited.iterations, limited.converged) == (3, False)


def test_errors_of_a_report_come_through(rng):
    def report(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_logistic(*problem(rng), 3, l2=0.01, report=report)


def test_a_class_without_samples(rng):
    features, labels = problem(rng)
    fit = fit_logistic(features, labels, 5, l2=0.01)
    assert np.isfinite(fit.weight).all()
    assert set((fit.weight @ features + fit.bias[:, None]).argmax(axis=0)) <= {0, 1, 2}


def test_inputs_stay_as_they_are(rng):
    features, labels = problem(rng)
    copies = features.copy(), labels.copy()
    fit_logistic(features, labels, 3, l2=0.01)
    np.testing.assert_array_equal(features, copies[0])
    np.testing.assert_array_equal(labels, copies[1])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"classes": 1}, OptionError, "a classifier needs at least 2 classes, got 1"),
        ({"classes": 2}, InputError, "label 2 is no class; labels are from 0 to 1"),
        ({"l2": -1.0}, OptionError, "the L2 regularisation must be 0 or more, got -1"),
        ({"l2": math.nan}, OptionError, "the L2 regularisation must be 0 or more, got nan"),
        ({"max_iter": 0}, OptionError, "at least 1 iteration is needed, got 0"),
        ({"class_weight": (1, 2)}, OptionError, "must be 3 numbers above 0, one a class, got 1, 2"),
        ({"class_weight": (1, 2, 0)}, OptionError, "class weights must be 3 numbers above 0"),
    ],
)
def test_numbers_that_make_no_sense(options, error, message, rng):
    features, labels = problem(rng)
    with pytest.raises(error, match=message):
        fit_logistic(features, labels, **({"classes": 3, "l2": 0.1} | options))


def test_arrays_that_make_no_sense(rng):
    features, labels = problem(rng)
    with pytest.raises(ShapeError, match=r"features are \(d, N\) and labels \(N,\), got \(40, 5\)"):
        fit_logistic(features.T, labels, 3, l2=0.1)
    with pytest.raises(InputError, match="there are no samples to learn from"):
        fit_logistic(features[:, :0], labels[:0], 3, l2=0.1)
    with pytest.raises(InputError, match="label -2 is no class; labels are from 0 to 2"):
        fit_logistic(features, labels - 2, 3, l2=0.1)
