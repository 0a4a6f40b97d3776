"""What ``bench`` found, as rows, as JSON and as lines for people."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass

import cnntool
from cnntool import blas as products
from cnntool.backend import Backend, cupy_packages, gpus
from cnntool.images.limits import in_words
from cnntool.jobs.bench import PICTURE, NetworkSpeed, Timing
from cnntool.machine import cores
from cnntool.report.environment import blas
from cnntool.report.tables import Row

NOISE = 1.3
"""From this ratio of median and best time on, other programs have disturbed a measurement."""

WAITING = 0.1
"""From this share of the time spent waiting for a core on, figures are too low."""

COLUMNS = (
    "task", "best_milliseconds", "median_milliseconds", "images_per_second", "gflops",
    "megapixels_per_second",
)  # fmt: skip
"""Columns in csv and tsv, keys in jsonl."""

NETWORK_COLUMNS = ("task", "best ms", "median ms", "images/s", "GFLOP/s")
FILTER_COLUMNS = ("filter", "best ms", "median ms", "megapixels/s")
"""Columns of the two tables for reading."""

_SHOWN = 60  # characters of a specification


@dataclass(frozen=True)
class Report:
    """All that was measured.

    Attributes:
        device: Where.
        threads: How many were used.
        speed: The network.
        filters: The filters; empty if they were not asked for.
    """

    device: Backend
    threads: int
    speed: NetworkSpeed
    filters: tuple[Timing, ...] = ()

    @property
    def network_parts(self) -> list[Timing]:
        """Training, if it was measured, and prediction."""
        return [part for part in (self.speed.train, self.speed.predict) if part is not None]

    def rows(self) -> Iterator[Row]:
        """A row each part with the keys of :data:`COLUMNS`."""
        for part in self.network_parts:
            yield _times(part) | {"images_per_second": digits(part.rate), "gflops": _gflops(part)}
        for part in self.filters:
            yield _times(part) | {"megapixels_per_second": digits(part.rate / 1e6)}

    def network_rows(self) -> Iterator[Row]:
        """A row each part of the network for reading."""
        for part in self.network_parts:
            numbers = part.best * 1e3, part.median * 1e3, part.rate, part.gflops
            yield dict(zip(NETWORK_COLUMNS, (part.name, *map(_short, numbers)), strict=True))

    def filter_rows(self) -> Iterator[Row]:
        """A row each filter for reading."""
        for part in self.filters:
            numbers = part.best * 1e3, part.median * 1e3, part.rate / 1e6
            yield dict(zip(FILTER_COLUMNS, (part.name, *map(_short, numbers)), strict=True))

    def lines(self) -> Iterator[str]:
        """What was measured and where."""
        what = self.speed.subject
        name = what.name if len(what.name) <= _SHOWN else what.name[: _SHOWN - 1] + "…"
        shape = "x".join(map(str, what.trace.input))
        yield f"model        {name}, inputs {shape}, {what.batch} at a time"
        yield f"parameters   {what.trace.params}; {what.trace.macs} MACs an input"
        if self.filters:
            height, width, channels = PICTURE
            yield f"picture      {width}x{height}, {channels} channels, 8 bits in and out"
        threads = f", {self.threads} thread{'s' * (self.threads > 1)}"
        yield f"device       {self.device.name}{'' if self.device.is_gpu else threads}"
        if self.speed.peak_memory is not None:
            yield f"peak memory  {in_words(self.speed.peak_memory)}"

    def as_json(self) -> Row:
        """Everything as one object; rates are those of the best times."""
        what, train, predict = self.speed.subject, self.speed.train, self.speed.predict
        found: dict[str, object] = {
            "device": self.device.name,
            "threads": self.threads,
            "train_images_per_second": None if train is None else digits(train.rate),
            "predict_images_per_second": digits(predict.rate),
            "model": what.name,
            "input": list(what.trace.input),
            "batch_size": what.batch,
            "parameters": what.trace.params,
            "macs": what.trace.macs,
        }
        for name, part in (("train", train), ("predict", predict)):
            found |= {
                f"{name}_milliseconds": None if part is None else digits(part.best * 1e3),
                f"{name}_median_milliseconds": None if part is None else digits(part.median * 1e3),
                f"{name}_gflops": None if part is None else _gflops(part),
            }
        found |= {"peak_memory_bytes": self.speed.peak_memory, **facts(self.device)}
        if self.filters:
            height, width, channels = PICTURE
            found["filter"] = {
                "width": width,
                "height": height,
                "channels": channels,
                **{
                    part.name: {
                        "megapixels_per_second": digits(part.rate / 1e6),
                        "milliseconds": digits(part.best * 1e3),
                        "median_milliseconds": digits(part.median * 1e3),
                    }
                    for part in self.filters
                },
            }
        return found

    def notes(self) -> Iterator[str]:
        """What to know about the figures."""
        parts = (*self.network_parts, *self.filters)
        waited = max(parts, key=lambda part: part.waiting)
        noisy = max(parts, key=lambda part: part.noise)
        if waited.waiting > WAITING:
            yield (
                f"the machine is busy: {waited.name} waited {waited.waiting:.0%} of the time for a "
                "core; end other programs, or take fewer --threads"
            )
        elif noisy.noise > NOISE:
            yield (
                f"the machine is busy: the median time of {noisy.name} is {noisy.noise:.1f} times "
                "the best; end other programs, or take more --seconds"
            )


def facts(device: Backend) -> dict[str, str | int]:
    """What a comparison of two machines has to know, named as ``info`` names it.

    Example:
        >>> from cnntool import backend
        >>> list(facts(backend.get("cpu")))
        ['cnntool', 'python', 'system', 'numpy', 'blas', 'blas_threads', 'cores']
    """
    import numpy

    found: dict[str, str | int] = {
        "cnntool": cnntool.__version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "numpy": numpy.__version__,
        "blas": blas(),
        "blas_threads": products.threads() or "unknown",
        "cores": cores(),
    }
    if device.is_gpu:
        card = next(card for card in gpus() if card.name == device.name)
        found |= {"cupy": ", ".join(cupy_packages()) or "not installed", "gpu_model": card.model}
    return found


def digits(number: float, count: int = 5) -> float:
    """A number with as many digits as a measurement has.

    Example:
        >>> digits(12.345678), digits(1234567.0)
        (12.346, 1234600.0)
    """
    return float(f"{number:.{count}g}")


def _times(part: Timing) -> dict[str, object]:
    return {
        "task": part.name,
        "best_milliseconds": digits(part.best * 1e3),
        "median_milliseconds": digits(part.median * 1e3),
    }


def _gflops(part: Timing) -> float:
    return digits(part.gflops)


def _short(number: float) -> float:
    """Four digits, without a point where it would stand at their end."""
    number = digits(number, 4)
    return int(number) if number >= 1000 else number
