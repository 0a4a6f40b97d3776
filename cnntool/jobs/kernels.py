"""``kernels``: rows, matrices and pictures of kernels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cnntool.filters.kernel import Kernel
from cnntool.filters.kernel_families import FAMILIES
from cnntool.filters.kernel_text import parse_kernel
from cnntool.filters.kernels import ALIASES, KERNELS
from cnntool.filters.matrix_text import matrix_lines, number_text
from cnntool.images.picture import Picture
from cnntool.images.writing import encode
from cnntool.report.grids import matrix_picture


def kernel_rows(names: Sequence[str], *, matrices: bool = False) -> Iterator[dict[str, object]]:
    """One row a kernel: all of the table, the families last, or those named.

    Args:
        names: Texts of kernels; none means all.
        matrices: Give coefficients, aliases, divisor and source too.
    """
    if names:
        for kernel in map(parse_kernel, names):
            yield _row(kernel, matrices)
        return
    for kernel in KERNELS.values():
        yield _row(kernel, matrices)
    for family in FAMILIES.values():
        row: dict[str, object] = {
            "name": family.example,
            "size": None,
            "sum": None,
            "separable": None,
            "summary": family.summary,
        }
        if matrices:
            row["parameters"] = [parameter.key for parameter in family.parameters]
        yield row


def _row(kernel: Kernel, matrices: bool) -> dict[str, object]:
    height, width = kernel.size
    row: dict[str, object] = {
        "name": kernel.name,
        "size": f"{height}x{width}",
        "sum": float(_total_text(kernel)),
        "separable": "yes" if kernel.separable is not None else "no",
        "summary": kernel.summary,
    }
    if matrices:
        row |= {
            "separable": kernel.separable is not None,
            "weights": [list(weights) for weights in kernel.weights],
            "scale": kernel.scale,
            "offset": kernel.offset,
            "l1": kernel.absolute,
            "aliases": [alias for alias, name in ALIASES.items() if name == kernel.name],
            "source": kernel.source,
        }
    return row


def _total_text(kernel: Kernel) -> str:
    """The sum, without what rounding leaves of 0."""
    return "0" if kernel.zero_sum else number_text(kernel.total)


def kernel_lines(names: Sequence[str]) -> Iterator[str]:
    """The matrices of kernels as text, with what there is to know about them."""
    for place, kernel in enumerate(map(parse_kernel, names)):
        if place:
            yield ""
        height, width = kernel.size
        yield f"{kernel.name} ({height}x{width})" + (
            f": {kernel.summary}" if kernel.summary else ""
        )
        divisor = f"   / {number_text(kernel.scale)}" if kernel.scale != 1 else ""
        rows = list(matrix_lines(kernel.array() * kernel.scale))
        for number, line in enumerate(rows):
            yield "  " + line + (divisor if number == len(rows) // 2 else "")
        facts = [f"sum {_total_text(kernel)}", f"sum of |k| {number_text(kernel.absolute)}"]
        if kernel.offset:
            facts.append(f"offset {number_text(kernel.offset)}")
        if kernel.separable is not None:
            column, row = kernel.separable
            if max(len(column), len(row)) <= 9:
                facts.append(
                    "separable: "
                    + " ".join(map(number_text, column))
                    + " down, "
                    + " ".join(map(number_text, row))
                    + " across"
                )
            else:
                facts.append("separable")
        yield "  " + "; ".join(facts)
        if kernel.source:
            yield f"  source: {kernel.source}"


def kernel_picture(text: str) -> bytes:
    """A PNG of the kernel's matrix: colours by sign and size, with the numbers."""
    return encode(Picture(matrix_picture(parse_kernel(text).array())), "png")
