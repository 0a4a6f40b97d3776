"""Pictures that excite: found for every class, believed by another network, by rules that hold."""

import numpy as np
import pytest
from reference_explain import bars_subject, subject
from trained_models import SPEC, bars, changed, trained

from cnntool.errors import ModelFileError, NameNotFound, OptionError
from cnntool.explain.ascent import Ascent
from cnntool.explain.maximize import Goal, class_goal, layer_goal, maximize

PLAIN = {"jitter": 0, "scale": 0.0, "rotate": 0.0, "smooth": 0.0, "tv": 0.0, "l2": 0.0}
OTHER = SPEC.replace("conv 6", "conv 7")
"""A network of another width, with weights of its own."""


def rounded(found):
    return np.rint(np.stack([one.pictures[-1] for one in found], axis=-1)).astype(np.uint8)


# --- what comes of it


def test_every_class_is_found_and_another_network_agrees():
    """For sure above 0.99 by the network itself; nothing was shown to the other one."""
    first, second = bars_subject(), bars_subject(trained(OTHER))
    assert first.plain.parameters.shape != second.plain.parameters.shape
    for one, other in ((first, second), (second, first)):
        found = maximize(one, [class_goal(one, number) for number in range(3)], Ascent(steps=200))
        assert [f.goal.label for f in found] == list(one.classes)
        images = rounded(found)
        shares = one.shares(one.scores(images))
        assert np.diag(shares).min() > 0.99
        np.testing.assert_allclose([f.shares[-1] for f in found], np.diag(shares), rtol=1e-9)
        np.testing.assert_allclose([f.values[-1] for f in found], np.diag(one.scores(images)),
                                   rtol=1e-5)  # fmt: skip
        believed = other.shares(other.scores(images))
        assert believed.argmax(axis=0).tolist() == [0, 1, 2]
    # more than any picture of the training excites it
    real = np.ascontiguousarray(bars(200, seed=1)[0].transpose(1, 2, 3, 0))
    assert (np.diag(second.scores(images)) > second.scores(real).max(axis=1)).all()


def test_a_convolution_likes_its_own_filter():
    """Without penalties and moves: white where the weight is positive, black where negative."""
    one = subject("conv 2 3x4", (1, 5, 6))
    goal = layer_goal(one, "0.conv", 1, (1, 2))
    found = maximize(one, [goal], Ascent(steps=150, rate=2.0, **PLAIN))[0]
    weight = one.plain.tensors["0.conv.weight"][1, 0]
    seen = found.pictures[-1, 0, 1:4, 2:6]
    np.testing.assert_allclose(seen[weight > 0], 255, atol=1e-3)
    np.testing.assert_allclose(seen[weight < 0], 0, atol=1e-3)
    best = one.inputs(np.where(weight > 0, 255, 0).astype(np.float32)[None, :, :, None])
    expected = float((weight * best[0, :, :, 0]).sum() + one.plain.tensors["0.conv.bias"][1])
    assert found.values[-1] == pytest.approx(expected, rel=1e-5)
    # elsewhere nothing counts: noise about the mean is left
    rest = found.pictures[-1, 0].copy()
    rest[1:4, 2:6] = np.nan
    assert 40 < np.nanmean(rest) < 160 and np.nanstd(rest) < 60


def test_the_penalty_pulls_to_the_mean():
    """With a constant gradient g of root mean square 1, I ends at g / (2 λ)."""
    one = subject("flatten | dense 3 bias=no", (3, 4, 5))
    how = Ascent(steps=400, **(PLAIN | {"l2": 1.5}))
    found = maximize(one, [class_goal(one, 2)], how)[0]
    weight = one.plain.tensors["1.dense.weight"][2].reshape(3, 4, 5)
    expected = weight / np.sqrt((weight**2).mean()) / (2 * 1.5)
    inputs = one.inputs(found.pictures[-1][..., None])[..., 0]
    np.testing.assert_allclose(inputs, expected, atol=2e-3)


def test_total_variation_makes_it_flat():
    one = bars_subject()
    goals = [class_goal(one, 1)]
    rough, flat = (
        maximize(one, goals, Ascent(steps=120, **(PLAIN | {"l2": 0.1, "tv": tv})))[0].pictures[-1]
        for tv in (0.0, 0.3)
    )
    assert np.abs(np.diff(flat)).mean() < 0.6 * np.abs(np.diff(rough)).mean()


def test_variation_slope_against_differences():
    from cnntool.explain.maximize import _variation_slope

    x = np.random.default_rng(1).standard_normal((2, 5, 6, 2))

    def variation(x):
        total = 0.0
        for c, y, z, n in np.ndindex(*x.shape):
            down = x[c, y + 1, z, n] - x[c, y, z, n] if y < 4 else 0
            right = x[c, y, z + 1, n] - x[c, y, z, n] if z < 5 else 0
            total += np.sqrt(down**2 + right**2 + 0.01)
        return total

    found = _variation_slope(np, x)
    for place in ((0, 0, 0, 0), (1, 4, 5, 1), (0, 2, 3, 1), (1, 4, 2, 0), (0, 1, 5, 0)):
        step = np.zeros_like(x)
        step[place] = 1e-5
        expected = (variation(x + step) - variation(x - step)) / 2e-5
        assert found[place] == pytest.approx(expected, rel=1e-5)


def test_clipping_and_blurring():
    one = bars_subject()
    goals = [class_goal(one, 0)]
    mean = one.plain_samples("mean")[0, 0, 0]
    clipped = maximize(one, goals, Ascent(steps=60, **PLAIN, clip_percent=50))[0].pictures[-1]
    at_mean = np.isclose(clipped, mean, atol=0.1).mean()
    assert 0.45 < at_mean < 0.8
    plain, soft = (
        maximize(one, goals, Ascent(steps=60, **PLAIN, blur_every=every))[0].pictures[-1]
        for every in (0, 1)
    )
    assert np.abs(np.diff(soft)).mean() < np.abs(np.diff(plain)).mean()


# --- rules


def test_same_seed_same_picture_in_any_company():
    one = bars_subject()
    rules = Ascent(steps=40)
    every = maximize(one, [class_goal(one, number) for number in range(3)], rules)
    again = maximize(one, [class_goal(one, number) for number in range(3)], rules)
    for first, second in zip(every, again, strict=True):
        np.testing.assert_array_equal(first.pictures, second.pictures)
    alone = maximize(one, [class_goal(one, 1)], rules)[0]
    # not to the bit: products are rounded by their shapes
    np.testing.assert_allclose(alone.pictures, every[1].pictures, atol=2)
    other = maximize(one, [class_goal(one, 1)], Ascent(steps=40, seed=1))[0]
    assert np.abs(other.pictures - alone.pictures).max() > 20


def test_more_goals_than_go_together():
    one = subject("conv 40 3 | relu", (1, 5, 6))
    told = []
    found = maximize(one, [layer_goal(one, "0.conv", n) for n in range(40)], Ascent(steps=3),
                     progress=lambda done, total: told.append((done, total)))  # fmt: skip
    assert [f.goal.unit for f in found] == list(range(40))
    assert told == [(n, 6) for n in range(1, 7)]


def test_steps_that_are_kept():
    one = bars_subject()
    rules = Ascent(steps=20, save_at=(1, 8, 8, 20, 25))
    assert rules.kept == (1, 8, 20)
    found = maximize(one, [class_goal(one, 0)], rules)[0]
    assert found.pictures.shape == (3, 1, 12, 10) and found.values.shape == (3,)
    shorter = maximize(one, [class_goal(one, 0)], Ascent(steps=1))[0]
    assert np.abs(found.pictures[0] - shorter.pictures[0]).max() < 30
    assert found.values[2] > found.values[0]


def test_pictures_stay_in_their_range():
    one = bars_subject()
    found = maximize(one, [class_goal(one, 2)], Ascent(steps=60, rate=5.0, l2=0.0))[0]
    assert found.pictures.min() >= 0 and found.pictures.max() <= 255
    assert found.pictures.dtype == np.float32


def test_neurons_that_sleep_are_woken():
    """At first every ReLU is shut: only random steps find what opens one."""
    one = subject("conv 3 3 | relu | flatten | dense 2", (1, 8, 9))
    one.plain.tensors["0.conv.bias"][...] = -2.0
    found = maximize(one, [layer_goal(one, "1.relu", n) for n in range(3)], Ascent(steps=150))
    assert all(one.values[-1] > 0 for one in found)


def test_sides_of_a_single_output():
    one = subject("flatten | dense 1", (1, 4, 5), ("no", "yes"))
    goals = [class_goal(one, number) for number in (0, 1)]
    assert [goal.sign for goal in goals] == [-1.0, 1.0]
    found = maximize(one, goals, Ascent(steps=60, rate=5.0, **PLAIN))
    assert all(f.shares[-1] > 0.9 for f in found)
    apart = np.abs(found[0].pictures[-1] + found[1].pictures[-1] - 255)
    assert (apart < 1).mean() >= 0.9, "but for weights that are nearly 0"


@pytest.mark.parametrize("spec", [
    "residual(conv 3 3 pad=1 | relu) | concat(conv 2 1 | relu, conv 2 3 pad=1) | conv 2 1",
])  # fmt: skip
def test_layers_inside_of_joints_and_of_segmenters(spec):
    one = subject(spec, (3, 7, 8))
    for layer in ("0.main.conv", "0.add", "1.branch0.relu", "2.conv"):
        found = maximize(one, [layer_goal(one, layer, 1)], Ascent(steps=40))[0]
        start = maximize(one, [layer_goal(one, layer, 1)], Ascent(steps=1))[0]
        assert found.values[-1] > start.values[-1], layer
        assert np.isnan(found.shares).all()


# --- what is refused


def test_goals():
    one = bars_subject()
    assert class_goal(one, 1) == Goal("4.dense", 1, label="lying")
    assert layer_goal(one, "1.relu", 5, (11, 9)) == Goal("1.relu", 5, (11, 9))
    assert layer_goal(one, "3.flatten", 100) == Goal("3.flatten", 100)
    with pytest.raises(
        OptionError, match=r"layer 1\.relu has no channel 6; it gives 6×12×10, chan"
    ):
        layer_goal(one, "1.relu", 6)
    with pytest.raises(
        OptionError, match=r"layer 1\.relu has no position 12,0; its maps have 12 rows and 10 col"
    ):
        layer_goal(one, "1.relu", 0, (12, 0))
    with pytest.raises(OptionError, match=r"gives 3 numbers, without positions; leave --at out"):
        layer_goal(one, "4.dense", 0, (0, 0))
    with pytest.raises(NameNotFound, match="unknown layer"):
        layer_goal(one, "9.relu", 0)


def test_numbers_that_are_not_finite():
    broken = changed(tensors={k: np.full_like(v, 3e38) for k, v in trained().tensors.items()})
    one = bars_subject(broken)
    with pytest.raises(ModelFileError, match="not finite"):
        maximize(one, [class_goal(one, 0)], Ascent(steps=3))
