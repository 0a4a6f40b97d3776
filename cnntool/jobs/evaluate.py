"""``evaluate``: a data set in the form that a model takes, and what is told of the results."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnntool.data.dataset import Dataset, Split
from cnntool.data.loading import load
from cnntool.data.masks import IGNORED
from cnntool.errors import GateError, OptionError
from cnntool.files import quote, write_whole
from cnntool.images.formats import FORMATS, WRITABLE, by_suffix
from cnntool.images.picture import Picture
from cnntool.images.writing import encode
from cnntool.jobs.mask_sheets import mask_sheet
from cnntool.predict.classifier import Classifier
from cnntool.predict.evaluation import Evaluation, class_numbers, evaluate
from cnntool.predict.model import TrainedModel
from cnntool.predict.pixel_evaluation import PixelEvaluation, evaluate_pixels
from cnntool.predict.words import CLASS_COLUMNS, MEANS, PIXEL_COLUMNS
from cnntool.report.confusion import confused_pairs, confusion_png
from cnntool.report.grids import grid, planes_to_pixels
from cnntool.report.lettering import drawable
from cnntool.report.tables import Row

PARTS = ("test", "validation", "train")
"""Parts of a data set in the order in which one is looked for."""

_CORNER = "true \\ predicted"

MOST_CLASSES = 30
"""Classes whose confusion matrix is printed; larger ones are for files."""


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures to evaluate a model with.

    Attributes:
        split: The pictures, with the model's class numbers.
        name: Of the data set.
        part: Which part of it they are.
        chosen: Whether the part was asked for.
    """

    split: Split
    name: str
    part: str
    chosen: bool

    @classmethod
    def of(
        cls, model: TrainedModel, source: str, part: str | None = None, limit: int | None = None
    ) -> Sample:
        """A data set for a model.

        Args:
            model: Its size, colour and classes count.
            source: Name or path of the data set.
            part: One of :data:`PARTS`; None takes the first of them that there is.
            limit: At most so many pictures, evenly spaced over the part.

        Raises:
            InputError: There is no such part, or the data cannot be read.
            ModelFileError: The data are damaged or contradict themselves.
            OptionError: The classes are not those of the model, or are those of pixels.
        """
        how = model.preprocess.how
        data = load(
            source,
            size=model.preprocess.size,
            fit=how.fit,
            color=how.color,
            background=how.background,
            one_class=True,
        )
        of_pixels = model.saved.task == "segment"
        if data.segments and not of_pixels:
            raise OptionError(
                f"{quote(source)}: every pixel has a class there, and the model tells one class of "
                "a picture; take pictures in folders of classes"
            )
        if of_pixels and not data.segments:
            raise OptionError(
                f"{quote(source)}: pictures have one class there, and the model tells that of "
                "every pixel; take a folder with images/ and masks/"
            )
        numbers = class_numbers(model.classes, data.classes, named=model.named)
        name = part or _first_part(data)
        split = data.part(name)
        if limit is not None and limit < len(split):
            split = split.take(np.arange(limit) * len(split) // limit)
        labels = _renumbered(split.labels, numbers) if of_pixels else numbers[split.labels]
        return cls(Split(split.images, labels, split.paths), data.name, name, bool(part))

    def __str__(self) -> str:
        """In a few words."""
        count = len(self.split)
        return f"{count} {self.part} picture{'s' if count != 1 else ''} of '{self.name}'"

    def evaluated(
        self,
        model: TrainedModel,
        *,
        threads: int = 1,
        group: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Evaluation | PixelEvaluation:
        """What the model makes of them."""
        split = self.split
        told = evaluate_pixels if model.saved.task == "segment" else evaluate
        with Classifier(
            model.network,
            model.preprocess,
            threads=threads,
            group=group,
            pictures=len(split),
        ) as classify:
            return told(classify, split.images, split.labels, model.classes, progress=progress)


def _renumbered(labels: NDArray[np.integer], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Masks with the model's class numbers; pixels without a class keep their label."""
    table = np.arange(IGNORED + 1)
    table[: len(numbers)] = numbers
    table[IGNORED] = IGNORED
    renumbered: NDArray[np.int64] = table[labels]
    return renumbered


def _first_part(data: Dataset) -> str:
    parts = {"test": data.test, "validation": data.validation}
    return next((name for name in PARTS if (found := parts.get(name)) and len(found)), "train")


# --- what is printed


def columns(found: Evaluation | PixelEvaluation) -> tuple[str, ...]:
    """Of the table of classes."""
    return PIXEL_COLUMNS if isinstance(found, PixelEvaluation) else CLASS_COLUMNS


def summary(found: Evaluation | PixelEvaluation) -> Iterator[str]:
    """Lines with the numbers about all classes together."""
    if isinstance(found, PixelEvaluation):
        right, pixels = np.trace(found.confusion), found.confusion.sum()
        yield f"accuracy  {found.accuracy:.4f}  {right} of {pixels} pixels"
        yield f"mean IoU  {found.mean_iou:.4f}"
        yield f"Dice      {found.mean_dice:.4f}"
        yield f"loss      {found.loss:.4f}"
        return
    yield f"accuracy  {found.accuracy:.4f}  {np.trace(found.confusion)} of {len(found)}"
    for k, share in found.top_k.items():
        if k > 1:
            yield f"{f'top-{k}':8}  {share:.4f}"
    yield f"{'loss':8}  {found.loss:.4f}"


def class_rows(found: Evaluation | PixelEvaluation) -> Iterator[Row]:
    """Rows of the table of classes for reading, the means over all classes last."""
    for row in found.rows():
        yield {name: _rounded(value) for name, value in row.items()}
    if isinstance(found, PixelEvaluation):
        means = {"iou": _rounded(found.mean_iou), "dice": _rounded(found.mean_dice)}
        yield {"label": "mean", **means, "pixels": int(found.confusion.sum())}
        return
    means = {name: _rounded(found.mean(name)) for name in MEANS}
    yield {"label": "mean", **means, "support": len(found)}


def _rounded(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value


def confusion_rows(found: Evaluation | PixelEvaluation) -> Iterator[Row]:
    """Rows of the confusion matrix for reading."""
    for label, row in zip(found.classes, found.confusion.tolist(), strict=True):
        counts = zip(found.classes, row, strict=True)
        # a class that is called like the first column must not hide it
        named = {f"{name} " if name == _CORNER else name: n for name, n in counts}
        yield {_CORNER: label, **named}


def confused(found: Evaluation | PixelEvaluation) -> list[str]:
    """Lines about the pairs of classes that are mistaken most often."""
    return confused_pairs(found.confusion, found.classes)


# --- files


def check_result(path: str, option: str, suffixes: tuple[str, ...]) -> None:
    """Refuse a name that has none of the suffixes.

    Raises:
        OptionError: What can be written there is not clear.
    """
    if not path.lower().endswith(suffixes):
        raise OptionError(
            f"{option}: {quote(path)} has none of the suffixes {', '.join(suffixes)}; choose one"
        )


PICTURES = tuple(suffix for name in WRITABLE for suffix in FORMATS[name].suffixes)
"""Suffixes of sheets of pictures."""


def write_confusion(
    found: Evaluation | PixelEvaluation, path: str, title: str, *, force: bool
) -> None:
    """The confusion matrix as ``.csv`` or as a picture.

    Args:
        found: Results.
        path: The file; its suffix was checked.
        title: First line of the picture.
        force: Replace a file that exists.
    """
    if path.lower().endswith(".csv"):
        data = _confusion_csv(found)
    else:
        data = confusion_png(found.confusion, found.classes, title)
    write_whole(path, data, force=force)


def _confusion_csv(found: Evaluation | PixelEvaluation) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_CORNER, *found.classes])
    for label, counts in zip(found.classes, found.confusion.tolist(), strict=True):
        writer.writerow([label, *counts])
    return text.getvalue().encode("utf-8", "surrogateescape")


def write_worst(
    found: Evaluation | PixelEvaluation,
    sample: Sample,
    model: TrainedModel,
    most: int,
    path: str,
    *,
    force: bool,
) -> None:
    """A sheet of the worst pictures, each with what was wrong about it."""
    if isinstance(found, PixelEvaluation):
        with Classifier(model.network, model.preprocess) as classify:
            worst = found.worst(most).tolist()
            sheet = Picture(mask_sheet(classify, sample.split, worst, found.classes))
    else:
        sheet = Picture(_worst_sheet(found, sample.split, most))
    write_whole(path, encode(sheet, by_suffix(path) or "png"), force=force)


def _worst_sheet(found: Evaluation, split: Split, most: int) -> NDArray[np.uint8]:
    """The pictures with the highest losses."""
    names, chosen = found.classes, found.worst(most)
    captions = []
    for n in chosen:
        lines = [
            names[found.labels[n]],
            f"as {names[found.predictions[n]]}",
            f"{found.scores[n]:.2f}, loss {found.losses[n]:.2f}",
        ]
        if split.paths:
            lines.append(os.path.basename(split.paths[n]))
        captions.append("\n".join(drawable(line) for line in lines))
    return grid([planes_to_pixels(split.images[n]) for n in chosen], captions=captions)


# --- gates


def check_gates(found: Evaluation | PixelEvaluation, gates: tuple[tuple[str, float], ...]) -> None:
    """Refuse a model that is not as good as was asked for.

    Raises:
        GateError: A number is under its gate.
    """
    under = [
        f"{name} {value:.4f} is under {gate:g}"
        for name, gate in gates
        if (value := found.measure(name)) < gate
    ]
    if under:
        raise GateError("; ".join(under))
