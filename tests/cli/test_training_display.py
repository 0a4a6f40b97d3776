"""What a training shows: lines, a bar that costs nothing, and a terminal left as it was."""

import io
import re
import subprocess
import sys
import threading
import time

import pytest

from cnntool.cli import training_display
from cnntool.cli.options import RunOptions
from cnntool.cli.streams import warn
from cnntool.cli.training_display import TrainingDisplay

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
ROW = {
    "epoch": 2,
    "train_loss": 0.12345,
    "train_accuracy": 0.9621,
    "val_loss": 0.0987,
    "val_accuracy": 0.98765,
    "lr": 0.0123,
    "images_per_second": 23456.7,
    "seconds": 8.1,
}


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self):
        return True


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(training_display, "time", found)
    return found


@pytest.fixture(autouse=True)
def terminal_of_a_person(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def trained(display, clock=None, *, epochs=2, batches=4, seconds=1.0, row=None):
    """Tell the display of a whole training."""
    with display:
        for number in range(1, epochs + 1):
            display.epoch_begins(number, epochs, batches)
            for _ in range(batches):
                if clock is not None:
                    clock.now += seconds
                display.step(0.5, 64, 0.1)
            display.epoch_ends(row or {"epoch": number, "train_loss": 0.5})


def seen(stream):
    """Text without codes of colours and cursor."""
    return re.sub(r"\x1b\[[?0-9;]*[A-Za-z]|\r", "", stream.getvalue())


# -------------------------------------------------------------------------------------------- lines


def test_a_line_an_epoch(clock):
    stream = io.StringIO()
    trained(TrainingDisplay(RunOptions(), stream), clock, epochs=12, row=ROW)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 12
    assert set(lines) == {
        "epoch  2/12  loss 0.1235  accuracy 96.21 %  validation 98.77 %  lr 0.0123  "
        "23457 images/s  4.0 s"
    }


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "epoch 1/1  4.0 s"),
        ({"train_loss": 0.5, "val_loss": None}, "epoch 1/1  loss 0.5000  4.0 s"),
        ({"val_loss": 0.25}, "epoch 1/1  validation loss 0.2500  4.0 s"),
        ({"val_loss": 0.25, "val_accuracy": 1.0}, "epoch 1/1  validation 100.00 %  4.0 s"),
        ({"train_accuracy": 0.05, "grad_norm": 3.0}, "epoch 1/1  accuracy  5.00 %  4.0 s"),
        ({"train_loss": float("nan")}, "epoch 1/1  loss nan  4.0 s"),
    ],
)  # fmt: skip
def test_what_is_missing_is_left_out(row, said, clock):
    stream = io.StringIO()
    trained(TrainingDisplay(RunOptions(), stream), clock, epochs=1, row=row or {"lr": None})
    assert stream.getvalue() == said + "\n"


def test_verbose_says_all(clock):
    stream = io.StringIO()
    row = {"val_loss": 0.25, "val_accuracy": 1.0, "norm": 1 / 3, "best": "yes", "none": None}
    trained(TrainingDisplay(RunOptions(verbose=1), stream), clock, epochs=1, row=row)
    assert stream.getvalue() == (
        "epoch 1/1  validation 100.00 %  validation loss 0.2500  norm 0.3333  best yes  4.0 s\n"
    )


def test_long_times_are_clocks(clock):
    stream = io.StringIO()
    options = RunOptions(progress=False)
    trained(TrainingDisplay(options, stream), clock, epochs=1, seconds=1000.0)
    assert stream.getvalue() == "epoch 1/1  loss 0.5000  1:06:40\n"


def test_quiet_says_nothing(clock):
    for stream in (io.StringIO(), Terminal()):
        display = TrainingDisplay(RunOptions(quiet=True), stream)
        display.start({"model": "cnn"})
        trained(display, clock, seconds=100)
        display.note("something")
        display.finish(rows=[ROW, ROW], test={"accuracy": 1, "loss": 0}, details=["a"])
        assert stream.getvalue() == ""


def test_facts_and_notes():
    stream = io.StringIO()
    display = TrainingDisplay(RunOptions(), stream)
    display.start({"data": "mnist", "network": "a\x1b[31mb\nc"})
    display.note("the disk is full\n")
    assert stream.getvalue() == (
        "data     mnist\nnetwork  a\\033[31mb c\ncnntool: the disk is full\n"
    )


# ------------------------------------------------------------------------------------------- tenths


def test_long_epochs_have_a_line_at_every_tenth(clock):
    stream = io.StringIO()
    trained(TrainingDisplay(RunOptions(), stream), clock, epochs=2, batches=20)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 2 * (9 + 1)
    assert lines[0] == "epoch 1/2  10 %  loss 0.5000  64 images/s  0:38 left"
    assert lines[8] == "epoch 1/2  90 %  loss 0.5000  64 images/s  0:22 left"
    assert lines[10] == "epoch 2/2  10 %  loss 0.5000  64 images/s  0:18 left"


@pytest.mark.parametrize(
    ("options", "seconds"),
    [({}, 0.4), ({"progress": False}, 100.0), ({"progress": False, "verbose": 2}, 100.0)],
)
def test_short_epochs_and_no_progress_have_none(options, seconds, clock):
    stream = io.StringIO()
    trained(TrainingDisplay(RunOptions(**options), stream), clock, batches=20, seconds=seconds)
    assert len(stream.getvalue().splitlines()) == 2


@pytest.mark.parametrize("batches", [1, 3, 7])
def test_tenths_of_few_batches(batches, clock):
    stream = io.StringIO()
    display = TrainingDisplay(RunOptions(), stream)
    trained(display, clock, epochs=1, batches=batches, seconds=60)
    lines = stream.getvalue().splitlines()
    assert len(lines) == batches  # none at the end of the epoch but its own


def test_a_training_that_goes_on_within_an_epoch(clock):
    stream = io.StringIO()
    display = TrainingDisplay(RunOptions(), stream)
    display.epoch_begins(3, 3, batches=10, done=6)
    for _ in range(4):
        clock.now += 5
        display.step(0.5, 10, 0.1)
    assert stream.getvalue().splitlines() == [
        "epoch 3/3  70 %  loss 0.5000  2 images/s  0:15 left",
        "epoch 3/3  80 %  loss 0.5000  2 images/s  0:10 left",
        "epoch 3/3  90 %  loss 0.5000  2 images/s  0:05 left",
    ]


# ---------------------------------------------------------------------------------------------- bar


def test_a_bar_on_a_terminal(clock):
    stream = Terminal()
    trained(TrainingDisplay(RunOptions(), stream), clock, batches=4)
    text = seen(stream)
    assert "epoch 1/2 ━━━━━━━━━━━━" in text
    assert " 2/4  loss 0.5000  64 images/s  0:06 left" in text
    assert "epoch 1/2  loss 0.5000  4.0 s\n" in text
    assert "10 %" not in text
    codes = stream.getvalue()
    assert codes.count(HIDE) == codes.count(SHOW) >= 1
    assert codes.rindex(SHOW) > codes.rindex(HIDE)


def test_the_bar_is_gone_after_the_last_epoch(clock):
    stream = Terminal()
    display = TrainingDisplay(RunOptions(), stream)
    display.epoch_begins(1, 1, 2)
    for _ in range(2):
        clock.now += 1
        display.step(0.5, 64, 0.1)
    display.epoch_ends({"train_loss": 0.5})
    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)
    length = len(stream.getvalue())
    display.close()
    assert len(stream.getvalue()) == length


@pytest.mark.parametrize(
    ("variables", "bar", "colours"),
    [
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({"TTY_INTERACTIVE": "0"}, False, False),
    ],
)
def test_what_the_environment_wants(variables, bar, colours, clock, monkeypatch):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = Terminal()
    trained(TrainingDisplay(RunOptions(), stream), clock)
    assert ("━" in stream.getvalue()) == bar
    assert ("\x1b[3" in stream.getvalue()) == colours
    assert "epoch 2/2  loss 0.5000" in seen(stream)


def test_colour_is_never_forced_into_a_file(clock, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    stream = io.StringIO()
    trained(TrainingDisplay(RunOptions(), stream), clock)
    assert "\x1b" not in stream.getvalue()


def test_no_progress_means_no_bar(clock):
    stream = Terminal()
    trained(TrainingDisplay(RunOptions(progress=False), stream), clock)
    assert stream.getvalue() == "epoch 1/2  loss 0.5000  4.0 s\nepoch 2/2  loss 0.5000  4.0 s\n"


@pytest.mark.parametrize("columns", [20, 50, 70, 200])
def test_the_bar_fits_its_terminal(columns, clock, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    display = TrainingDisplay(RunOptions(), stream)
    display.epoch_begins(1, 2, 100)
    clock.now += 1
    display.step(0.5, 64, 0.1)
    assert len(seen(stream).rstrip("\n")) <= columns
    display.close()


def test_signs_of_a_terminal_without_unicode(clock):
    stream = Terminal()
    stream.encoding = "ascii"
    trained(TrainingDisplay(RunOptions(), stream), clock)
    assert stream.getvalue().isascii()
    assert "############------------ 2/4" in seen(stream)


def test_what_others_print_stands_above(clock, monkeypatch, capsys):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    display = TrainingDisplay(RunOptions())
    display.epoch_begins(1, 2, 10)
    clock.now += 1
    display.step(0.5, 64, 0.1)
    assert sys.stderr is not stream
    warn("a stray warning")
    display.note("a [bold]note[/] :smile:")
    display.close()
    assert sys.stderr is stream
    assert "\ncnntool: a stray warning\n" in "\n" + re.sub(r".*images/s.*left", "\n", seen(stream))
    assert "cnntool: a [bold]note[/] :smile:\n" in seen(stream)
    assert capsys.readouterr().out == ""


def test_ten_drawings_a_second_at_most(clock):
    stream = Terminal()
    display = TrainingDisplay(RunOptions(), stream)
    display.epoch_begins(1, 1, 10_000)
    for _ in range(1000):
        clock.now += 0.005
        display.step(0.5, 64, 0.1)
    assert 20 < seen(stream).count("epoch 1/1") <= 51
    display.close()


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_steps_are_cheap(kind):
    display = TrainingDisplay(RunOptions(), kind())
    display.epoch_begins(1, 1, 100_000)
    began = time.perf_counter()
    for _ in range(50_000):
        display.step(0.5, 64, 0.1)
    assert (time.perf_counter() - began) / 50_000 < 20e-6
    display.close()


def test_losses_on_a_device_are_looked_at_when_they_are_shown(clock):
    asked = []

    class OnDevice:
        def __float__(self):
            asked.append(1)
            return 0.125

    stream = Terminal()
    display = TrainingDisplay(RunOptions(), stream)
    display.epoch_begins(1, 1, 10_000)
    for _ in range(100):
        clock.now += 0.01
        display.step(OnDevice(), 64, 0.1)
    assert 1 <= len(asked) <= 11
    assert "loss 0.1250" in seen(stream)
    display.close()


# -------------------------------------------------------------------------------------- how it ends


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_end_within_an_epoch_leaves_the_terminal_alone(error, monkeypatch, clock, capsys):
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    threads = threading.active_count()
    with pytest.raises(error), TrainingDisplay(RunOptions()) as display:
        display.epoch_begins(1, 2, 10)
        clock.now += 1
        display.step(0.5, 64, 0.1)
        assert threading.active_count() == threads
        assert HIDE in stream.getvalue()
        raise error
    assert sys.stderr is stream
    assert stream.getvalue().rindex(SHOW) > stream.getvalue().rindex(HIDE)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "gone")])
def test_a_closed_terminal_does_not_end_a_training(error, clock, capsys):
    class Closed(Terminal):
        def write(self, text):
            raise error

    with TrainingDisplay(RunOptions(), Closed()) as display:
        trained(display, clock)
        display.note("nobody reads this")
        display.finish(rows=[ROW, ROW])
    print("standard output is as it was")
    assert capsys.readouterr().out == "standard output is as it was\n"


def test_no_stderr_at_all(clock, monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    display = TrainingDisplay(RunOptions())
    trained(display, clock)
    display.note("nobody reads this")
    display.finish(rows=[ROW, ROW])


def test_results():
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", newline="")
    display = TrainingDisplay(RunOptions(), stream)
    rows = [{"epoch": n, "train_loss": 1 / n} for n in (1, 2, 3)]
    display.finish(
        rows=rows,
        test={"accuracy": 0.99123, "loss": 0.03125},
        details=["4 taken for 9: 12 of 982", "7 taken for 2: 3 of 1028"],
    )
    lines = stream.buffer.getvalue().decode("ascii").splitlines()
    assert lines[0] == "train loss"
    assert lines[1].startswith("   1 +**")
    assert lines[-3:] == [
        "test accuracy 99.12 %, loss 0.0312",
        "most confused: 4 taken for 9: 12 of 982",
        "               7 taken for 2: 3 of 1028",
    ]
    assert max(map(len, lines)) <= 80


def test_one_epoch_has_no_chart():
    stream = io.StringIO()
    TrainingDisplay(RunOptions(), stream).finish(rows=[ROW], test={"accuracy": 1, "loss": 0})
    assert stream.getvalue() == "test accuracy 100.00 %, loss 0.0000\n"


def test_a_log_file_needs_no_rich():
    code = (
        "import sys; from cnntool.cli.options import RunOptions\n"
        "from cnntool.cli.training_display import TrainingDisplay\n"
        "with TrainingDisplay(RunOptions()) as display:\n"
        "    display.epoch_begins(1, 1, 1)\n"
        "    display.step(0.5, 1, 0.1)\n"
        "    display.epoch_ends({})\n"
        "assert not {'rich', 'numpy', 'PIL'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("epoch 1/1  ")
