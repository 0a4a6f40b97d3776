"""``convolve``: one or more kernels over a picture."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from cnntool.errors import OptionError, ShapeError
from cnntool.filters.convolve import Convolution, convolve, method_used
from cnntool.filters.kernel import Kernel
from cnntool.filters.trace import trace, value_lines
from cnntool.images.picture import Picture
from cnntool.jobs.picture import Named, PictureJob, Target


@dataclass(frozen=True, kw_only=True)
class ConvolveJob(PictureJob):
    """Each kernel gives one map.

    Attributes:
        kernels: The kernels.
        words: Their words in file names.
        options: Everything else about the filter.
        stack: All maps in one ``.npy`` (K, H, W[, C]).
        grid: All maps in one labelled picture.
        trace: Output pixels (row, column) whose sums are printed.
        values: Print the matrices of input, kernel and output.
    """

    kernels: tuple[Kernel, ...]
    words: tuple[str, ...]
    options: Convolution = field(default_factory=Convolution)
    stack: bool = False
    grid: bool = False
    trace: tuple[tuple[int, int], ...] = ()
    values: bool = False

    def whats(self) -> tuple[str, ...]:
        """One word a kernel, or ``stack`` or ``grid``."""
        if self.stack or self.grid:
            return ("stack" if self.stack else "grid",)
        return self.words

    def buffers(self) -> int:
        """Strips need none; floats, whole stacks and transparency do."""
        copies = len(self.kernels) if self.stack or self.grid else 1
        return copies if self.stack or self.grid or self.range in ("rescale", "raw") else 0

    def floats(self, picture: Picture, target: Target) -> int:
        """Linear light is floats before and after; colours are weighted by opacity in floats."""
        copies = 3 if self.options.linear else 0
        if picture.alpha and not all(kernel.zero_sum for kernel in self.kernels):
            copies += 1
        return super().floats(picture, target) + copies * picture.pixels.size

    def lines(self, picture: Picture, notes: list[str]) -> Iterator[str]:
        """The sums and matrices that were asked for."""
        if not self.trace and not self.values:
            return
        pixels = picture.pixels
        if picture.alpha:
            if float(pixels[..., -1].min()) < picture.full_range:
                notes.append("sums and matrices are of the stored colours; opacity is left out")
            pixels = pixels[..., :-1]
        for kernel in self.kernels:
            if len(self.kernels) > 1:
                yield f"# {kernel.name}"
            for at in self.trace:
                yield from trace(pixels, kernel, self.options, at)
            if self.values:
                yield from value_lines(pixels, kernel, self.options)

    def size_out(self, picture: Picture) -> tuple[int, int]:
        """The largest of all kernels."""
        sizes = [self.options.size_out(picture.pixels.shape[:2], k.size) for k in self.kernels]
        return max(height for height, _ in sizes), max(width for _, width in sizes)

    def results(self, picture: Picture, target: Target, notes: list[str]) -> Iterator[Named]:
        """One picture a kernel; or the stack; or the grid."""
        if self.stack:
            yield "stack", self._stacked(picture, target, notes)
        elif self.grid:
            from cnntool.report.grids import grid

            # a sheet is a picture of 8 bits, whatever becomes of it
            made = self._maps(picture, replace(target, dtype=np.dtype(np.uint8)), notes)
            names = [kernel.name for kernel in self.kernels]
            yield "grid", Picture(grid([p.pixels for _, p in made], captions=names))
        else:
            yield from self._maps(picture, target, notes)

    def _stacked(self, picture: Picture, target: Target, notes: list[str]) -> Picture:
        """All maps as one array (K, H, W[, C])."""
        if target.format != "npy":
            raise OptionError("--stack needs .npy; use -o NAME.npy or --format npy")
        maps = [made.pixels for _, made in self._maps(picture, target, notes)]
        for kernel, pixels in zip(self.kernels, maps, strict=True):
            if pixels.shape != maps[0].shape:
                raise ShapeError(
                    f"the map of {kernel.name} is {_size(pixels)}, that of "
                    f"{self.kernels[0].name} {_size(maps[0])}; maps of one size can be stacked: "
                    "use --padding same, or kernels of one size"
                )
        return replace(picture, pixels=np.stack(maps), alpha=False)

    def _maps(
        self, picture: Picture, target: Target, notes: list[str]
    ) -> Iterator[tuple[str, Picture]]:
        if self.range == "raw" and target.dtype is not None:
            self.levels(picture, target, "raw")  # says why not, and what would
        for word, kernel in zip(self.words, self.kernels, strict=True):
            if self._untouched(kernel, picture, target):
                if self.verbose:
                    notes.append(f"{kernel.name}: every pixel stays as it is")
                yield word, self.fitted(picture, target)
                continue
            levels = self.levels(picture, target, self.range, kernel.zero_sum)
            pixels = convolve(
                self.on_device(picture.pixels),
                kernel,
                alpha=picture.alpha,
                levels=levels,
                threads=self.threads,
                **vars(self.options),
            )
            if self.verbose:
                used = method_used(picture.pixels, kernel, self.options, alpha=picture.alpha)
                notes.append(f"{kernel.name}: kernel {_size(kernel.array())}, method {used}")
            if levels is not None and (note := levels.report.note()):
                notes.append(f"{kernel.name}: {note}")
            result = replace(picture, pixels=self.on_host(pixels))
            if levels is None:
                result = self.ranged(result, target, self.full_range(picture), notes)
            yield word, result

    def _untouched(self, kernel: Kernel, picture: Picture, target: Target) -> bool:
        """Whether every pixel stays what it is, bit for bit."""
        options = self.options
        return (
            kernel.is_identity
            # the centre of an even side moves with --flip and --dilation
            and all(side % 2 for side in kernel.size)
            and options.padding == "same"
            and options.steps().stride == (1, 1)
            and options.factor(kernel) == 1
            and options.offset == 0
            and self.range in ("auto", "clip")
            and target.dtype is not None
        )


def _size(matrix: np.ndarray) -> str:
    return "x".join(map(str, matrix.shape[:2]))
