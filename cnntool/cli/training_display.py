"""What ``train`` shows on stderr: a live bar on a terminal, and a line an epoch everywhere.

No thread draws: the bar moves when a step is told, ten times a second at most, and less often where
drawing is slow. So nothing is left running at the end, nor in the processes that share batches.
"""

from __future__ import annotations

import contextlib
import io
import math
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, cast

from cnntool.cli.options import RunOptions
from cnntool.files import one_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

LONG_EPOCH = 10.0
"""Seconds: longer epochs get a line at every tenth where there is no bar."""

_PAUSE = 0.1  # seconds between two drawings, at least
_COST = 400  # and at least so many times what a drawing takes: a quarter percent of the time
_WIDTH = 24  # characters of the bar, where there is room
_MEMORY = 0.1  # share of a new loss in the one that is shown
_FORMS = {
    "train_loss": "loss {:.4f}",
    "train_accuracy": "accuracy {:6.2%}",
    "val_accuracy": "validation {:6.2%}",
    "val_mean_iou": "mean IoU {:.4f}",
    "val_loss": "validation loss {:.4f}",
    "stage": "stage {}",
    "d_loss": "discriminator {:.3f}",
    "g_loss": "generator {:.3f}",
    "real": "real {:3.0%}",
    "fake": "made {:3.0%}",
    "variety": "variety {:3.0%}",
}
"""Column of ``metrics.csv`` -> how an epoch's line says it."""

_COLUMNS = (*_FORMS, "epoch", "lr", "images_per_second", "seconds")


class TrainingDisplay:
    """Shows a training while it runs. Use it in a ``with`` statement: its end takes the bar away.

    Args:
        run: ``quiet`` shows nothing, ``progress`` allows the bar and lines within epochs,
            ``verbose`` adds what else there is to say of an epoch.
        stream: Where words go; stderr if left out.

    Example:
        >>> with TrainingDisplay(RunOptions(), sys.stdout) as display:
        ...     display.epoch_begins(1, 5, batches=2)
        ...     for _ in range(2):
        ...         display.step(0.25, images=64, lr=0.1)
        ...     display.epoch_ends({"epoch": 1, "train_loss": 0.25})  # doctest: +ELLIPSIS
        epoch 1/5  loss 0.2500  ... s
    """

    def __init__(self, run: RunOptions, stream: TextIO | None = None) -> None:
        self._shown, self._verbose, self._stream = not run.quiet, run.verbose > 0, stream
        self._moving = self._shown and run.progress
        self._bar: _Bar | None = None
        self._live: bool | None = None  # whether a bar can be drawn, once that is known
        self._number = self._of = self._batches = 0
        self._done = self._images = self._steps = 0
        self._skipped = 0  # batches of this epoch that were done in an earlier run
        self._loss: Any = math.nan
        self._begun = self._epoch_begun = time.monotonic()
        self._next = math.inf  # when to draw again
        self._tenth = 1

    def __enter__(self) -> TrainingDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away; may be called more than once."""
        self._next = math.inf
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def start(self, facts: Mapping[str, object]) -> None:
        """Say what is trained: a name and a value a line."""
        widest = max(map(len, facts), default=0)
        for name, value in facts.items():
            self._say(f"{name:<{widest}}  {one_line(str(value))}")

    def epoch_begins(self, number: int, of: int, batches: int, done: int = 0) -> None:
        """An epoch begins.

        Args:
            number: From 1.
            of: How many epochs there will be.
            batches: Batches of an epoch.
            done: How many of them are done already, in a training that goes on.
        """
        self._number, self._of, self._batches = number, of, batches
        self._done = self._skipped = done
        self._images, self._loss = 0, math.nan
        self._tenth = done * 10 // max(batches, 1) + 1
        self._epoch_begun = time.monotonic()
        if not self._steps:
            self._begun = self._epoch_begun
        if self._moving:
            self._next = self._epoch_begun + _PAUSE

    def step(self, loss: Any, images: int, lr: float) -> None:
        """A batch was learned from.

        Args:
            loss: A float, or a number on a device: that one is looked at only when it is shown.
            images: Pictures of the batch.
            lr: Learning rate.
        """
        self._done += 1
        self._steps += 1
        self._images += images
        if isinstance(loss, float) and isinstance(self._loss, float) and self._loss == self._loss:
            self._loss += _MEMORY * (loss - self._loss)
        else:
            self._loss = loss
        if time.monotonic() >= self._next:
            self._move()

    def epoch_ends(self, row: Mapping[str, Any]) -> None:
        """Print the line of an epoch.

        Args:
            row: By the names of ``metrics.csv``, what there is of them; accuracies are shares.
        """
        seconds = time.monotonic() - self._epoch_begun
        self._say("  ".join(self._parts(row, seconds)))
        if self._number >= self._of:
            self.close()  # what follows is no epoch

    def note(self, text: str) -> None:
        """Say something that a person should know."""
        self._say(f"cnntool: {one_line(text)}")

    def finish(
        self,
        *,
        rows: Sequence[Mapping[str, Any]] = (),
        test: Mapping[str, float] | None = None,
        details: Sequence[str] = (),
        title: str = "most confused",
    ) -> None:
        """Show how it went and what came out.

        Args:
            rows: Of all epochs, for a chart.
            test: ``accuracy`` and ``loss`` on the test pictures, ``mean_iou`` and ``dice`` of
                pixels.
            details: Lines about what came out.
            title: What they are about.
        """
        self.close()
        if not self._shown:
            return
        for line in self._chart(rows):
            self._say(line)
        if test is not None:
            self._say(_test_line(test))
        for number, line in enumerate(details):
            before = f"{title}: " if number == 0 else " " * (len(title) + 2)
            self._say(before + one_line(line).strip())

    def _chart(self, rows: Sequence[Mapping[str, Any]]) -> list[str]:
        if len(rows) < 2:
            return []
        from cnntool.report.curves import curves_chart

        stream = self._target()
        terminal = stream is not None and stream.isatty()
        width = shutil.get_terminal_size().columns if terminal else 80
        return curves_chart(rows, width, getattr(stream, "encoding", None) or "utf-8")

    def _parts(self, row: Mapping[str, Any], seconds: float) -> list[str]:
        """What the line of an epoch says."""
        number = row.get("epoch", self._number)
        parts = [f"epoch {number:>{len(str(self._of))}}/{self._of}" if self._of else f"{number}"]
        for name, form in _FORMS.items():
            value = row.get(name)
            # the validation's loss is said where there is no accuracy, or to who wants to know
            if value is not None and (
                name != "val_loss" or self._verbose or row.get("val_accuracy") is None
            ):
                parts.append(form.format(value).replace("%", " %"))
        if (lr := row.get("lr")) is not None:
            parts.append(f"lr {lr:.3g}")
        if (speed := row.get("images_per_second")) is not None:
            parts.append(f"{speed:.0f} images/s")
        if self._verbose:
            others = (name for name in row if name not in _COLUMNS and row[name] is not None)
            parts += [f"{name} {_plain(row[name])}" for name in others]
        return [*parts, f"{seconds:.1f} s" if seconds < 100 else _clock(seconds)]

    def _move(self) -> None:
        """Draw the bar anew, or print a line at a tenth of a long epoch."""
        if self._live is None:
            self._live = self._interactive()
        if not self._live:
            self._next = 0.0  # look at every step: it is a comparison
            if self._done * 10 >= self._tenth * self._batches:
                self._tell_tenth()
            return
        if self._bar is None:
            self._bar = _Bar(self._stream)
        before = time.monotonic()
        self._bar.draw(*self._position(before))
        after = time.monotonic()
        self._next = after + max(_PAUSE, _COST * (after - before))

    def _tell_tenth(self) -> None:
        now, total = time.monotonic(), max(self._batches, 1)
        tenth, self._tenth = self._done * 10 // total, self._done * 10 // total + 1
        share = (self._done - self._skipped) / total
        if tenth < 10 and now - self._epoch_begun > LONG_EPOCH * share:
            text = f"epoch {self._number}/{self._of}  {10 * tenth} %  {self._state(now)}"
            self._say(text)

    def _position(self, now: float) -> tuple[str, int, int, str]:
        """What the bar shows."""
        name = f"epoch {self._number}/{self._of}"
        return name, self._done, self._batches, self._state(now)

    def _state(self, now: float) -> str:
        """Loss, speed and time left."""
        speed = self._images / max(now - self._epoch_begun, 1e-9)
        ahead = (self._of - self._number + 1) * self._batches - self._done
        left = ahead * (now - self._begun) / max(self._steps, 1)
        return f"loss {float(self._loss):.4f}  {speed:.0f} images/s  {_clock(left)} left"

    def _interactive(self) -> bool:
        """Whether a bar can move where the words go."""
        stream = self._target()
        if stream is None or not stream.isatty():
            return False
        console = _console(stream)
        return console.is_terminal and console.is_interactive and not console.is_dumb_terminal

    def _target(self) -> TextIO | None:
        return sys.stderr if self._stream is None else self._stream

    def _say(self, line: str) -> None:
        """Print one line, above the bar if there is one."""
        if not self._shown:
            return
        if self._bar is not None:
            self._bar.say(line, *self._position(time.monotonic()))
        elif (stream := self._target()) is not None:
            with contextlib.suppress(OSError):
                print(line, file=stream, flush=True)


class _Bar:
    """A line at the bottom of a terminal, drawn by rich, only when it is told to.

    Args:
        stream: Where; stderr if None. What others print on stderr appears above the line.
    """

    def __init__(self, stream: TextIO | None) -> None:
        from rich.live import Live

        console = _console(stream or sys.stderr)
        self._live = Live(
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=stream is None,
        )
        full, rest = "#-" if console.options.ascii_only else "━━"
        self._signs = full, " " if console.no_color or console.color_system is None else rest

    def draw(self, name: str, done: int, total: int, state: str) -> None:
        """Show how far it is."""
        self._live.update(self._text(name, done, total, state))
        if self._live.is_started:
            self._live.refresh()
        else:
            self._live.start(refresh=True)

    def say(self, line: str, name: str, done: int, total: int, state: str) -> None:
        """Print a line above; the bar is drawn anew with it."""
        self.draw(name, done, total, state)
        self._live.console.print(line, markup=False, highlight=False, emoji=False, soft_wrap=True)

    def stop(self) -> None:
        """Take it away and give the cursor back."""
        self._live.stop()

    def _text(self, name: str, done: int, total: int, state: str) -> Text:
        from rich.text import Text

        count, state = f" {done:>{len(str(total))}}/{total}", f"  {state}"
        room = self._live.console.width - len(f"{name} {count}{state}") - 1
        width = min(_WIDTH, room) if room >= 6 else 0
        filled = min(width, width * done // max(total, 1))
        full, rest = self._signs
        return Text.assemble(
            f"{name} ",
            (full * filled, "bar.complete"),
            (rest * (width - filled), "bar.back"),
            (count, "progress.download"),
            state,
            no_wrap=True,
            overflow="crop",
        )


class _Patient(io.TextIOBase):
    """A stream that forgets what it cannot write: a closed terminal does not end a training.

    rich would end the whole process, with standard output redirected to nowhere.
    """

    def __init__(self, stream: TextIO) -> None:
        self._target = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._target.encoding or "utf-8"

    def isatty(self) -> bool:
        return self._target.isatty()

    def fileno(self) -> int:
        return self._target.fileno()

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError):
            self._target.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError):
            self._target.flush()


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=cast(TextIO, _Patient(stream)))


def _test_line(test: Mapping[str, float]) -> str:
    """What is said of the test pictures."""
    parts = [f"test accuracy {100 * test['accuracy']:.2f} %"]
    if "mean_iou" in test:
        parts[0] += " of pixels"
        parts += [f"mean IoU {test['mean_iou']:.4f}", f"Dice {test['dice']:.4f}"]
    return ", ".join([*parts, f"loss {test['loss']:.4f}"])


def _plain(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else one_line(str(value))


def _clock(seconds: float) -> str:
    """Minutes and seconds, and hours if there are any.

    Example:
        >>> _clock(7.4), _clock(3725)
        ('0:07', '1:02:05')
    """
    if not math.isfinite(seconds):
        return "?"
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
