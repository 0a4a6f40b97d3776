"""What optimisers share: a walk over flat arrays in blocks, weight decay, state for checkpoints.

All parameters of a network are one flat array and so are their gradients; a step is a walk over
both. On a CPU it goes block by block, so that everything a block needs stays in the cache through
all operations; on a GPU the whole array is one block. Bias corrections and rates are numbers of
the host, so a step never waits for the device.

Weight decay draws parameters to zero. Weights should be small, but shifts, scales of normalisation
and offsets have no reason to be: :func:`decaying` tells the slices of the weights.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from math import inf, isfinite
from typing import Any, ClassVar

import numpy as np

from cnntool.backend import Array
from cnntool.errors import ModelFileError, OptionError, ShapeError

BLOCK = 1 << 16
"""Numbers that a CPU works on at a time: five arrays of them are 1.3 MB in float32."""


class Optimiser(ABC):
    """Turns gradients into steps.

    Args:
        size: How many parameters there are.
        xp: The array library in which they live, NumPy or CuPy.
        dtype: float32 or float64, as the parameters.
        weight_decay: Share of the parameters that is added to the gradients, or (``adamw``) taken
            off times the rate, >= 0.
        decaying: Slices of the flat array that decay; None means all, as in torch. Slices that
            touch are joined, so a buffer with all weights in front needs one operation.

    Raises:
        OptionError: An option is out of range.
        ShapeError: Slices overlap or lie outside.
    """

    name: ClassVar[str]
    summary: ClassVar[str]

    def __init__(
        self,
        size: int,
        xp: Any = np,
        dtype: Any = np.float32,
        *,
        weight_decay: float = 0.0,
        decaying: Sequence[slice] | None = None,
    ) -> None:
        check_range("weight_decay", weight_decay)
        self.size, self.xp, self.dtype = size, xp, np.dtype(dtype)
        self.weight_decay = float(weight_decay)
        self.step = 0
        self._scratch = xp.empty(min(size, BLOCK) if xp is np else size, dtype=self.dtype)
        whole = [slice(0, size)] if decaying is None else _joined(decaying, size)
        self._blocks = list(_cut(size, max(len(self._scratch), 1), whole))

    @property
    @abstractmethod
    def buffers(self) -> Mapping[str, Array]:
        """What is remembered between steps, flat arrays by name."""

    def update(self, parameters: Array, gradients: Array, lr: float) -> None:
        """Take one step, in place.

        Args:
            parameters: They are changed.
            gradients: They serve as scratch: what they hold afterwards means nothing.
            lr: Learning rate of this step, >= 0; a number of the host.

        Shape:
            parameters, gradients (size,), one block of memory each.

        Raises:
            ShapeError: An array is not as it was announced.
        """
        for what, array in (("parameters", parameters), ("gradients", gradients)):
            if array.shape != (self.size,) or array.dtype != self.dtype:
                raise ShapeError(
                    f"the {what} must be one flat array of {self.size} {self.dtype} numbers; got "
                    f"{array.shape} of {array.dtype}"
                )
        self.step += 1
        self._prepare(float(lr))
        for place, decays in self._blocks:
            self._move(parameters[place], gradients[place], place, decays)

    def _prepare(self, lr: float) -> None:
        """Set the numbers of this step."""
        self._lr = lr

    @abstractmethod
    def _move(self, p: Array, g: Array, place: slice, decays: list[slice]) -> None:
        """Move one block of parameters; ``decays`` are slices of the block."""

    def _decay_gradients(self, p: Array, g: Array, decays: list[slice]) -> None:
        """Add weight_decay·p to the gradients."""
        if self.weight_decay:
            for part in decays:
                shift = self.xp.multiply(
                    p[part], self.weight_decay, out=self._scratch[: len(p[part])]
                )
                g[part] += shift

    def state(self) -> dict[str, Array]:
        """All that a later run needs to go on as if it had never stopped.

        Returns:
            The arrays themselves, not copies, and ``step``, an array (1,) of the host.

        Example:
            >>> from cnntool.nn.optim import create
            >>> sorted(create("sgd", 3, momentum=0.9).state())
            ['momentum_buffer', 'step']
        """
        return {"step": np.array([self.step], np.int64), **self.buffers}

    def load_state(self, state: Mapping[str, Array]) -> None:
        """Go on from a state, which is copied.

        Args:
            state: What :meth:`state` gave for an optimiser with the same options; arrays of the
                host or of the device.

        Raises:
            ModelFileError: It belongs to another optimiser or network; nothing has changed then.
        """
        wanted = {"step", *self.buffers}
        if set(state) != wanted:
            raise ModelFileError(
                f"this is no state of {self.name}: it holds {_listed(state)}, {_listed(wanted)} "
                "are needed; resume with the optimiser of the run"
            )
        step = int(state["step"].reshape(-1)[0]) if state["step"].size == 1 else -1
        if step < 0:
            raise ModelFileError("the step of the optimiser's state is no number from 0 on")
        for name, buffer in self.buffers.items():
            if state[name].shape != buffer.shape or state[name].dtype != buffer.dtype:
                raise ModelFileError(
                    f"{name} of the optimiser's state is {state[name].shape} of "
                    f"{state[name].dtype}, the network has {buffer.shape} of {buffer.dtype}"
                )
        for name, buffer in self.buffers.items():
            buffer[...] = self.xp.asarray(state[name])
        self.step = step


def decaying(places: Mapping[str, slice]) -> list[slice]:
    """The parts of a flat buffer that should decay: weights, but not batch normalisation's.

    Args:
        places: Full names of the parameters (``3.main.0.conv.weight``) and where they lie.

    Example:
        >>> decaying({"0.conv.weight": slice(0, 9), "0.conv.bias": slice(9, 10)})
        [slice(0, 9, None)]
    """
    return [
        place
        for name, place in places.items()
        if name.split(".")[-1] == "weight" and name.split(".")[-2:-1] != ["batchnorm"]
    ]


def check_range(name: str, value: float, *, above: float = -inf, below: float = inf) -> None:
    """Refuse an option outside its range, which begins at 0.

    Args:
        name: Of the option, for the message.
        value: What was given.
        above: 0 if 0 itself is excluded.
        below: What it must not reach.

    Raises:
        OptionError: The value is out of range.
    """
    if isfinite(value) and value >= 0 and above < value < below:
        return
    low = "above 0" if above == 0 else "0 or more"
    high = "" if below == inf else f" and below {below:g}"
    raise OptionError(f"{name} must be {low}{high}, got {value:g}")


def _joined(parts: Sequence[slice], size: int) -> list[slice]:
    """Slices in order, those that touch as one."""
    found: list[slice] = []
    for part in sorted(parts, key=lambda part: (part.start, part.stop)):
        before = found[-1].stop if found else 0
        if part.step not in (None, 1) or not before <= part.start <= part.stop <= size:
            raise ShapeError(
                f"{part} does not fit: what decays must be slices of {size} numbers that do not "
                "overlap"
            )
        if found and part.start == before:
            found[-1] = slice(found[-1].start, part.stop)
        elif part.start < part.stop:
            found.append(slice(part.start, part.stop))
    return found


def _cut(size: int, length: int, parts: list[slice]) -> Iterator[tuple[slice, list[slice]]]:
    """Blocks of a flat array, each with its share of ``parts`` counted from its own start."""
    for first in range(0, size, length):
        last = min(first + length, size)
        yield (
            slice(first, last),
            [
                slice(max(part.start, first) - first, min(part.stop, last) - first)
                for part in parts
                if part.start < last and part.stop > first
            ],
        )


def _listed(names: Mapping[str, Any] | set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
