"""What bench measures: clocks, memory, networks that cannot learn, the filters' picture."""

import itertools
import math
import pathlib
import re
import subprocess
import sys

import device_double
import numpy as np
import pytest

from cnntool import backend
from cnntool.errors import SpecError, SystemFailure
from cnntool.jobs import bench
from cnntool.jobs.bench import Bench, Subject, Timing, measure, subject
from cnntool.jobs.networks import network
from cnntool.nn.spec import Spec

SMALL = "conv 3 2x3 | relu | maxpool 2 | flatten | dense 4"


class Clock:
    """Time that goes on only while work is done."""

    def __init__(self, *durations: float) -> None:
        self.durations = itertools.chain(durations, itertools.repeat(durations[-1]))
        self.now, self.calls, self.waits = 100.0, 0, 0

    def __call__(self) -> float:
        return self.now

    def work(self) -> None:
        self.calls += 1
        self.now += next(self.durations)

    def wait(self) -> None:
        self.waits += 1


# ------------------------------------------------------------------------------------- clocks
def test_the_first_two_calls_do_not_count():
    clock = Clock(9, 9, 0.5, 0.25, 0.25, 1)
    assert measure(clock.work, 0.9, clock=clock) == (0.5, 0.25, 0.25)
    assert clock.calls == 5


def test_slow_work_is_called_three_times():
    clock = Clock(60)
    assert measure(clock.work, 2, clock=clock) == (60, 60, 60)


def test_it_goes_on_for_the_seconds_asked_for():
    clock = Clock(0.125)
    assert len(measure(clock.work, 2, clock=clock)) == 16


def test_very_short_work_is_timed_in_bursts():
    clock = Clock(2**-17)
    found = measure(clock.work, 0.01, clock=clock)
    assert found == (2**-17,) * 10  # bursts of a millisecond, and of 132 calls
    assert clock.calls == 2 + 10 * 132


def test_work_that_takes_no_time_ends():
    moments = (number * 1e-3 for number in range(100))
    found = measure(lambda: None, 0.005, clock=lambda: next(moments))
    assert all(seconds > 0 for seconds in found)


def test_devices_are_waited_for_after_a_burst():
    clock = Clock(2**-8)
    found = measure(clock.work, 0.1, clock.wait, clock)
    assert found == (2**-8,) * 5  # bursts of 20 milliseconds, and of 6 calls
    assert clock.calls == 2 + 5 * 6
    assert clock.waits == 2 + 5


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_waiting_for_a_core_is_noticed():
    """Two programs that never rest, on one core."""
    program = (
        "import os, time\n"
        "from cnntool.jobs.bench import seconds_in_queue\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "if os.fork() == 0:\n"
        "    end = time.monotonic() + 0.5\n"
        "    while time.monotonic() < end: pass\n"
        "    os._exit(0)\n"
        "before, end = seconds_in_queue(), time.monotonic() + 0.4\n"
        "while time.monotonic() < end: pass\n"
        "print(seconds_in_queue() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    if not pathlib.Path("/proc/thread-self/schedstat").exists():
        assert float(done.stdout) == 0
    else:
        assert 0.1 < float(done.stdout) < 0.4


def test_where_linux_does_not_tell(monkeypatch):
    monkeypatch.setattr(bench, "Path", lambda name: pathlib.Path("/no/such/file"))
    assert bench.seconds_in_queue() == 0


def test_figures_of_a_part():
    part = Timing("train", (0.5, 0.25, 1.0, 0.75), amount=100, flops=10**9)
    assert (part.best, part.median, part.rate, part.gflops) == (0.25, 0.625, 400, 4)
    assert part.noise == 2.5


# ----------------------------------------------------------------------------------- networks
def test_batches_follow_the_arithmetic():
    sizes = {
        name: subject(network(name), network(name).input).batch
        for name in ("mlp", "lenet5", "vgg-small", "resnet18", "vgg16")
    }
    assert sizes == {"mlp": 128, "lenet5": 128, "vgg-small": 64, "resnet18": 1, "vgg16": 1}
    assert subject(network("vgg16"), (3, 224, 224), 7).batch == 7


@pytest.mark.parametrize(
    ("text", "shape", "why"),
    [
        (SMALL, (2, 9, 8), ""),
        ("conv 3 2", (2, 9, 8), "the network's output is 3×8×7, no vector of classes"),
        ("flatten | relu", (2, 9, 8), "the network has no parameters to train"),
        ("dense 1", (5,), ""),
    ],
)
def test_networks_that_cannot_learn(text, shape, why):
    assert subject(Spec.of(text), shape).untrainable == why


def test_shapes_are_checked_before_anything_is_made():
    with pytest.raises(SpecError, match=r"1\.conv"):
        subject(Spec.of("conv 3 2 | conv 3 9"), (1, 6, 5))


def test_name_of_a_specification_is_one_line():
    assert subject(Spec.of("Conv2d 3 2 # first\nReLU"), (1, 6, 5)).name == "conv 3 2 | relu"
    assert subject(network("mlp"), (1, 28, 28)).name == "mlp"


def of_sizes(batch: int, text: str = SMALL) -> Subject:
    return subject(Spec.of(text), (2, 9, 8), batch)


def test_memory_of_a_batch():
    # inputs 144; maps 3x8x6 twice, 3x4x3, the same flat, 4; weights 3·12 + 3 + 36·4 + 4
    learns = of_sizes(10)
    assert learns.bytes_of_image == 4 * (144 + 144 + 144 + 36 + 36 + 4)
    assert learns.bytes_of_weights == 4 * 5 * 187
    predicts = of_sizes(10, "conv 3 2x3 | relu")
    assert predicts.bytes_of_image == 4 * (144 + 144 + 2 * 288)
    assert predicts.bytes_of_batch(3) == 4 * 2 * 39 + 3 * predicts.bytes_of_image


def test_a_batch_that_does_not_fit_is_refused():
    what = of_sizes(1000)
    memory = math.ceil(what.bytes_of_batch(1000) / 0.75) + 1
    what.check_memory(memory)
    with pytest.raises(
        SystemFailure,
        match=r"a batch of 1000 needs about 1\.9 MiB of memory, 994\.\d KiB can be used here; "
        r"try --batch-size (49\d|500)$",
    ) as caught:
        what.check_memory(memory // 2)
    assert caught.value.exit_code == 3
    fitting = int(re.search(r"\d+$", str(caught.value))[0])
    of_sizes(fitting).check_memory(memory // 2)
    with pytest.raises(SystemFailure, match="a batch of"):
        of_sizes(fitting + 1).check_memory(memory // 2)


def test_a_network_that_does_not_fit_at_all_is_refused():
    with pytest.raises(
        SystemFailure,
        match=r"even one input at a time needs about 5\.6 KiB of memory, 3\.0 KiB can be used "
        r"here; take a smaller --input or network",
    ):
        of_sizes(8).check_memory(4096)


def test_what_does_not_fit_is_refused_before_it_is_made(monkeypatch):
    monkeypatch.setattr(bench, "physical_memory", lambda: 4096)
    monkeypatch.setattr(bench, "Network", None)
    with pytest.raises(SystemFailure, match="can be used here"):
        Bench(backend.get("cpu"), 1).network(of_sizes(8))


@pytest.mark.parametrize("threads", [1, 2])
def test_network_is_measured(threads):
    said = []
    found = Bench(backend.get("cpu"), threads, 0.01, say=said.append).network(of_sizes(5))
    assert said == ["train", "predict"]
    assert (found.train.name, found.train.amount) == ("train", 5)
    assert (found.predict.name, found.predict.amount) == ("predict", 5)
    macs = 8 * 6 * 36 + 36 * 4
    assert found.train.flops == 6 * macs * 5
    assert found.predict.flops == 2 * macs * 5
    assert found.train.best > 0 and found.predict.best > 0
    assert found.peak_memory > 1 << 20


def test_steps_are_steps_of_training(monkeypatch):
    """What is timed as training learns, what is timed as prediction predicts."""
    calls = []

    def once(work, seconds, wait):
        calls.append((work(), work(), wait))
        return (1.0,)

    monkeypatch.setattr(bench, "measure", once)
    Bench(backend.get("cpu"), 1, seed=3).network(of_sizes(6))
    (first, second, _), (before, after, wait) = calls
    assert 0 < second < first  # the loss goes down, if only by the smallest step
    assert before.shape == (4, 6)
    np.testing.assert_array_equal(before, after)
    assert wait is None


def test_seeds_decide_on_weights_and_images(monkeypatch):
    def losses(seed):
        found = []
        monkeypatch.setattr(bench, "measure", lambda work, *_: (found.append(work()) or 1.0,))
        Bench(backend.get("cpu"), 1, seed=seed).network(of_sizes(6))
        return float(found[0])

    assert losses(1) == losses(1) != losses(2)


def test_networks_without_training():
    found = Bench(backend.get("cpu"), 1, 0.001).network(of_sizes(5, "conv 3 2"))
    assert found.train is None
    assert found.predict.best > 0


def test_gpu_is_waited_for(double_as_gpu):
    said = []
    before = device_double.traffic.syncs
    found = Bench(double_as_gpu, 4, 0.001, say=said.append).network(of_sizes(5))
    assert said == ["train", "predict"]
    assert found.train.best > 0
    assert found.peak_memory > 0
    # two waits before, one after each burst
    counted = len(found.train.seconds) + len(found.predict.seconds)
    assert device_double.traffic.syncs - before >= 4 + counted


def test_memory_of_a_gpu_is_the_cards(double_as_gpu):
    assert bench.device_memory(double_as_gpu) == 8 * 2**30


# ------------------------------------------------------------------------------------ filters
def test_filters_of_a_small_picture(xp, monkeypatch):
    monkeypatch.setattr(bench, "PICTURE", (30, 40, 3))
    seen = {}

    def convolved(image, kernel, **options):
        seen[str(kernel)[:7]] = result = real(image, kernel, **options)
        return result

    real = bench.convolve
    monkeypatch.setattr(bench, "convolve", convolved)
    device = backend.Backend(xp.xp, "cpu", is_gpu=False)
    if xp.xp is not np:
        device = backend.Backend(xp.xp, "gpu:0", is_gpu=True, device=xp.xp.cuda.Device(0))
    found = Bench(device, 2, 0.001).filters()
    assert [(part.name, part.amount) for part in found] == [
        ("sobel-x", 1200), ("gaussian-5", 1200), ("general-7x7", 1200),
    ]  # fmt: skip
    assert all(part.best > 0 and part.flops == 0 for part in found)
    for result in map(xp.to_host, seen.values()):
        assert (result.shape, result.dtype) == ((30, 40, 3), np.uint8)
        assert result.std() > 5


def test_picture_by_its_formula():
    found = bench.picture((37, 29, 3))
    assert found.dtype == np.uint8
    for y, x, c in ((0, 0, 0), (36, 28, 2), (13, 7, 1)):
        assert found[y, x, c] == (7 * x + 13 * y + 29 * c + x * y // 32) % 256


def test_general_kernel_is_no_product_and_has_no_symmetry():
    weights = bench.general_kernel()
    assert np.linalg.svd(weights, compute_uv=False)[-1] > 1e-3
    assert weights.sum() == pytest.approx(1)
    assert not np.allclose(weights, weights[::-1, ::-1])
