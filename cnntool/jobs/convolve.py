"""``convolve``: one or more kernels over a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from cnntool.errors import OptionError
from cnntool.filters.convolve import Convolution, convolve
from cnntool.filters.kernel import Kernel
from cnntool.filters.trace import trace, value_lines
from cnntool.folder.job import Done, Item
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.jobs.picture import Named, PictureJob, Target, grey


@dataclass(frozen=True, kw_only=True)
class ConvolveJob(PictureJob):
    """Each kernel gives one map.

    Attributes:
        kernels: The kernels.
        words: Their words in file names.
        options: Everything else about the filter.
        range: How results are fitted into integers.
        stack: All maps in one ``.npy`` (K, H, W[, C]).
        grid: All maps in one labelled picture.
        trace: Output pixels (row, column) whose sums are printed.
        values: Print the matrices of input, kernel and output.
        write: Whether files are written at all.
    """

    kernels: tuple[Kernel, ...]
    words: tuple[str, ...]
    options: Convolution = field(default_factory=Convolution)
    range: str = "auto"
    stack: bool = False
    grid: bool = False
    trace: tuple[tuple[int, int], ...] = ()
    values: bool = False
    write: bool = True

    def whats(self) -> tuple[str, ...]:
        """One word a kernel, or ``stack`` or ``grid``."""
        if self.stack or self.grid:
            return ("stack" if self.stack else "grid",)
        return self.words

    def outputs(self, item: Item) -> tuple[str, ...]:
        """No files where only text is printed."""
        return super().outputs(item) if self.write else ()

    def buffers(self) -> int:
        """Strips need none; floats, whole stacks and transparency do."""
        copies = len(self.kernels) if self.stack or self.grid else 1
        return copies if self.stack or self.grid or self.range in ("rescale", "raw") else 0

    def __call__(self, item: Item) -> Done:
        """Filter, then print what was asked for."""
        done = super().__call__(item) if self.write else Done()
        if not self.trace and not self.values:
            return done
        with opened(item.path, limits=self.limits, kernels=2) as picture:
            lines = list(self._explain(grey(picture) if self.gray else picture))
        return replace(done, rows=tuple({"text": line} for line in lines))

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """One picture a kernel; or the stack; or the grid."""
        if self.stack:
            if target.format != "npy":
                raise OptionError("--stack needs .npy; use -o NAME.npy or --format npy")
            maps = [self._floats(picture, kernel) for kernel in self.kernels]
            yield "stack", replace(picture, pixels=np.stack(maps), alpha=False)
            return
        made = self._maps(picture, target, notes)
        if self.grid:
            from cnntool.report.grids import grid

            sheet = grid(
                [p.pixels for _, p in made], captions=[kernel.name for kernel in self.kernels]
            )
            yield "grid", Picture(sheet)
            return
        yield from made

    def _floats(self, picture: Picture, kernel: Kernel) -> np.ndarray:
        pixels = convolve(
            self.on_device(picture.pixels),
            kernel,
            alpha=picture.alpha,
            threads=self.threads,
            **vars(self.options),
        )
        result: np.ndarray = self.on_host(pixels)
        return result

    def _maps(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        if self.range == "raw" and target.dtype is not None:
            self.levels(picture, target, "raw")  # says why not, and what would
        for word, kernel in zip(self.words, self.kernels, strict=True):
            if self._untouched(kernel, picture, target):
                yield word, self.fitted(picture, target)
                continue
            # with an offset values below 0 are too small, not too large the other way
            signed = kernel.zero_sum and kernel.offset + self.options.offset == 0
            levels = self.levels(picture, target, self.range, signed)
            pixels = convolve(
                self.on_device(picture.pixels),
                kernel,
                alpha=picture.alpha,
                levels=levels,
                threads=self.threads,
                **vars(self.options),
            )
            if levels is not None:
                note = levels.report.note()
                notes += [f"{kernel.name}: {note}"] if note else []
            yield word, replace(picture, pixels=self.on_host(pixels))

    def _untouched(self, kernel: Kernel, picture: Picture, target: Target) -> bool:
        """Whether every pixel stays what it is, bit for bit."""
        plain = replace(self.options, border="reflect", border_value=0.0, flip=False,
                        method="auto", linear=False, dilation=1)  # fmt: skip
        odd = all(side % 2 for side in kernel.size)
        return (
            kernel.is_identity
            and odd
            and plain == Convolution()
            and self.range in ("auto", "clip")
            and target.dtype is not None
        )

    def _explain(self, picture: Picture) -> Iterator[str]:
        for kernel in self.kernels:
            if len(self.kernels) > 1:
                yield f"# {kernel.name}"
            for row, column in self.trace:
                yield from trace(picture.pixels, kernel, self.options, (row, column))
            if self.values:
                yield from value_lines(picture.pixels, kernel, self.options)
