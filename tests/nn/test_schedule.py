"""Learning rates: formulas written out again, and torch's own where torch is installed."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnntool.errors import ModelFileError, NameNotFound, OptionError
from cnntool.nn.schedule import SCHEDULES, Schedule, create, extends


def rates(schedule, steps=None):
    return [schedule.lr(step) for step in range(steps or schedule.total)]


def test_constant():
    assert rates(create("constant", 0.1, 5)) == [0.1] * 5


@pytest.mark.parametrize("name", ["constant", "step", "cosine"])
def test_warmup_rises_evenly(name):
    found = rates(create(name, 0.5, total=100, warmup=4, every=50))
    assert found[:5] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert max(found) == 0.5


def test_step():
    found = rates(create("step", 2.0, total=10, every=3, factor=0.5), 12)
    assert found == pytest.approx([2, 2, 2, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25])


def test_step_falls_after_thirds():
    assert create("step", 1.0, total=100).every == 34
    assert create("step", 1.0, total=1).every == 1


@pytest.mark.parametrize("warmup", [0, 1, 7])
def test_cosine(warmup):
    schedule = create("cosine", 0.3, total=20, warmup=warmup)
    for step in range(warmup, 20):
        way = (step - warmup) / (20 - warmup)
        assert schedule.lr(step) == pytest.approx(0.3 * 0.5 * (1 + math.cos(math.pi * way)))
    assert schedule.lr(20) == schedule.lr(1000) == 0
    assert schedule.lr(19) > 0


def one_cycle(peak, total, rise, step):
    low, lowest = peak / 25, peak / 25 / 1e4
    if step <= rise - 1:
        way, start, end = step / (rise - 1), low, peak
    else:
        way, start, end = (step - (rise - 1)) / (total - rise), peak, lowest
    return end + (start - end) / 2 * (1 + math.cos(math.pi * way))


@pytest.mark.parametrize("warmup", [None, 2, 13])
def test_onecycle(warmup):
    schedule = create("onecycle", 0.4, total=50, warmup=warmup)
    rise = 15 if warmup is None else warmup
    expected = [one_cycle(0.4, 50, rise, step) for step in range(50)]
    assert rates(schedule) == pytest.approx(expected, rel=1e-12)
    assert schedule.lr(rise - 1) == 0.4
    assert schedule.lr(0) == pytest.approx(0.4 / 25)
    assert schedule.lr(49) == schedule.lr(5000) == pytest.approx(0.4 / 25 / 1e4)


def test_the_shortest_trainings():
    for name in SCHEDULES:
        assert rates(create(name, 0.1, total=1)) == [0.1]
        for warmup in (0, 1, 2):
            assert all(0 < rate <= 0.1 for rate in rates(create(name, 0.1, 2, warmup)))


def test_against_torch():
    torch = pytest.importorskip("torch")
    kinds = torch.optim.lr_scheduler

    def theirs(make, total):
        optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
        scheduler = make(optimiser)
        found = []
        for _ in range(total):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            scheduler.step()
        return found

    for total in (10, 50, 90):
        found = theirs(lambda o, n=total: kinds.CosineAnnealingLR(o, n), total)
        assert rates(create("cosine", 0.2, total)) == pytest.approx(found, abs=1e-12)
        found = theirs(lambda o, n=total: kinds.StepLR(o, n // 5, gamma=0.3), total)
        ours = create("step", 0.2, total, every=total // 5, factor=0.3)
        assert rates(ours) == pytest.approx(found, rel=1e-9)
    for total, rise in ((10, 3), (50, 15), (90, 27), (40, 10), (20, 0)):

        def make(optimiser, total=total, rise=rise):
            return kinds.OneCycleLR(
                optimiser, 0.2, total, pct_start=rise / total, cycle_momentum=False
            )

        # one step fewer: behind the last torch refuses to go
        found = theirs(make, total - 1)
        assert rates(create("onecycle", 0.2, total, rise), total - 1) == pytest.approx(found)


@st.composite
def schedules(draw):
    total = draw(st.integers(1, 300))
    return create(
        draw(st.sampled_from(list(SCHEDULES))),
        draw(st.floats(1e-6, 1e9)),
        total,
        draw(st.none() | st.integers(0, total)),
        every=draw(st.none() | st.integers(1, 100)),
        factor=draw(st.floats(0.01, 1)),
    )


@settings(deadline=None, max_examples=80)
@given(schedules(), st.randoms(use_true_random=False))
def test_rates_depend_on_the_step_alone(schedule, chance):
    forwards = rates(schedule, schedule.total + 5)
    assert all(0 <= rate <= schedule.peak * (1 + 1e-12) for rate in forwards)
    order = list(range(schedule.total + 5))
    chance.shuffle(order)
    again = create(**json.loads(json.dumps(schedule.as_json())))
    assert again == schedule
    for step in order:
        assert again.lr(step) == forwards[step]


@settings(deadline=None, max_examples=60)
@given(schedules(), st.integers(0, 500))
def test_longer_trainings(schedule, more):
    if not extends(schedule.name):
        assert schedule.extended(schedule.total) == schedule
        return
    longer = schedule.extended(schedule.total + more)
    assert longer.total == schedule.total + more
    assert rates(longer, schedule.total) == rates(schedule)


def test_what_can_be_extended():
    assert [name for name in SCHEDULES if extends(name)] == ["constant", "step"]
    with pytest.raises(
        ModelFileError,
        match="a cosine schedule of 40 steps cannot become one of 80: its rates depend on the "
        "length; train anew with cosine and that length, or with constant or step, which can be",
    ) as caught:
        create("cosine", 0.1, 40).extended(80)
    assert caught.value.exit_code == 4
    with pytest.raises(ModelFileError, match="a onecycle schedule of 40 steps"):
        create("onecycle", 0.1, 40).extended(39)


def test_schedules_are_values():
    schedule = create("cosine", 0.1, 40)
    assert schedule == Schedule(name="cosine", peak=0.1, total=40, warmup=0, every=14, factor=0.1)
    with pytest.raises(AttributeError):
        schedule.total = 80


def test_every_schedule_has_a_summary():
    assert list(SCHEDULES) == ["constant", "step", "cosine", "onecycle"]
    assert all(shape.summary for shape in SCHEDULES.values())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"peak": 0}, "the learning rate must be above 0, got 0"),
        ({"peak": math.nan}, "the learning rate must be above 0, got nan"),
        ({"peak": math.inf}, "the learning rate must be above 0, got inf"),
        ({"total": 0}, "a training has at least one step, got 0"),
        ({"warmup": 41}, "a warm-up of 41 steps does not fit a training of 40; take 0 to 40"),
        ({"warmup": -1}, "a warm-up of -1 steps does not fit"),
        ({"every": 0}, "the rate can fall after 1 step or more, got 0"),
        ({"factor": 0}, "the rate falls by a factor above 0 and at most 1, got 0"),
        ({"factor": 1.5}, "the rate falls by a factor above 0 and at most 1, got 1.5"),
    ],
)
def test_messages(arguments, message):
    with pytest.raises(OptionError, match=message):
        create(**{"name": "step", "peak": 0.1, "total": 40, **arguments})


def test_unknown_names():
    with pytest.raises(NameNotFound, match="unknown schedule 'cosin'; did you mean 'cosine'"):
        create("cosin", 0.1, 40)
    with pytest.raises(NameNotFound, match="unknown schedule 'linear'"):
        extends("linear")
    with pytest.raises(OptionError, match="steps count from 0, got -1"):
        create("constant", 0.1, 40).lr(-1)
