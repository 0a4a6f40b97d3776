"""``evaluate``: a data set in the form that a model takes, and what is told of the results."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from cnntool.data.dataset import Dataset, Split
from cnntool.data.loading import load
from cnntool.errors import GateError, OptionError
from cnntool.files import quote, write_whole
from cnntool.images.formats import FORMATS, WRITABLE, by_suffix
from cnntool.images.picture import Picture
from cnntool.images.writing import encode
from cnntool.predict.classifier import Classifier
from cnntool.predict.evaluation import Evaluation, class_numbers, evaluate
from cnntool.predict.model import TrainedModel
from cnntool.predict.words import MEANS
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
        if data.segments:
            raise OptionError(
                f"{quote(source)}: every pixel has a class there, and the model tells one class of "
                "a picture; take pictures in folders of classes"
            )
        numbers = class_numbers(model.classes, data.classes, named=model.named)
        name = part or _first_part(data)
        split = data.part(name)
        if limit is not None and limit < len(split):
            split = split.take(np.arange(limit) * len(split) // limit)
        return cls(
            Split(split.images, numbers[split.labels], split.paths), data.name, name, bool(part)
        )

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
    ) -> Evaluation:
        """What the model makes of them."""
        split = self.split
        with Classifier(
            model.network,
            model.preprocess,
            threads=threads,
            group=group,
            pictures=len(split),
        ) as classify:
            return evaluate(classify, split.images, split.labels, model.classes, progress=progress)


def _first_part(data: Dataset) -> str:
    parts = {"test": data.test, "validation": data.validation}
    return next((name for name in PARTS if (found := parts.get(name)) and len(found)), "train")


# --- what is printed


def summary(found: Evaluation) -> Iterator[str]:
    """Lines with the numbers about all classes together."""
    yield f"accuracy  {found.accuracy:.4f}  {np.trace(found.confusion)} of {len(found)}"
    for k, share in found.top_k.items():
        if k > 1:
            yield f"{f'top-{k}':8}  {share:.4f}"
    yield f"{'loss':8}  {found.loss:.4f}"


def class_rows(found: Evaluation) -> Iterator[Row]:
    """Rows of the table of classes for reading, the means over all classes last."""
    for row in found.rows():
        yield {name: _rounded(value) for name, value in row.items()}
    means = {name: _rounded(found.mean(name)) for name in MEANS}
    yield {"label": "mean", **means, "support": len(found)}


def _rounded(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else value


def confusion_rows(found: Evaluation) -> Iterator[Row]:
    """Rows of the confusion matrix for reading."""
    for label, row in zip(found.classes, found.confusion.tolist(), strict=True):
        counts = zip(found.classes, row, strict=True)
        # a class that is called like the first column must not hide it
        named = {f"{name} " if name == _CORNER else name: n for name, n in counts}
        yield {_CORNER: label, **named}


def confused(found: Evaluation) -> list[str]:
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


def write_confusion(found: Evaluation, path: str, title: str, *, force: bool) -> None:
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


def _confusion_csv(found: Evaluation) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([_CORNER, *found.classes])
    for label, counts in zip(found.classes, found.confusion.tolist(), strict=True):
        writer.writerow([label, *counts])
    return text.getvalue().encode("utf-8", "surrogateescape")


def write_worst(found: Evaluation, split: Split, most: int, path: str, *, force: bool) -> None:
    """A sheet of the pictures with the highest losses, each with what was wrong about it."""
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
    pictures = [planes_to_pixels(split.images[n]) for n in chosen]
    sheet = Picture(grid(pictures, captions=captions))
    write_whole(path, encode(sheet, by_suffix(path) or "png"), force=force)


# --- gates


def check_gates(found: Evaluation, gates: tuple[tuple[str, float], ...]) -> None:
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
