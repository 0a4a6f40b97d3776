"""``explain weights`` and ``explain maximize``: pictures of a network itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import OptionError, enumerated
from cnntool.explain.maximize import Found, Goal, class_goal, layer_goal
from cnntool.explain.subject import Subject
from cnntool.explain.weights import Filters, filters
from cnntool.images.formats import FORMATS
from cnntool.images.picture import Picture
from cnntool.images.writing import encode
from cnntool.nn.facts import times
from cnntool.report import explanations
from cnntool.report.grids import planes_to_pixels


def channel_numbers(subject: Subject, layer: str, channels: Sequence[int]) -> tuple[int, ...]:
    """The maps of a layer that were asked for; all if none were.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: It has no such map.
    """
    row = subject.layer(layer)
    count = row.output[0]
    wrong = [number for number in channels if number >= count]
    if wrong:
        raise OptionError(
            f"layer {layer} has no channel {wrong[0]}; it gives {times(row.output)}, channels 0 to "
            f"{count - 1}"
        )
    return tuple(channels) or tuple(range(count))


def weights_file(
    subject: Subject, layer: str, channels: Sequence[int], format: str, quality: int = 90
) -> tuple[bytes, list[str]]:
    """The filters of a layer as a file, and notes.

    Args:
        subject: The network.
        layer: Name of the layer.
        channels: Numbers of filters; empty: all.
        format: A key of :data:`cnntool.images.formats.FORMATS`; ``npy`` holds the weights as the
            model file has them.
        quality: Of JPEG and WebP.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: It has no filters, or no such one.
    """
    found = filters(subject, layer)
    numbers = _rows(found, subject, channels)
    if FORMATS[format].floats:
        stored = found.stored if not channels else found.stored[list(numbers)]
        return encode(stored, format), []
    notes: list[str] = []
    planes = found.planes[list(numbers)]
    if len(planes) > explanations.MOST_ROWS:
        notes.append(
            f"{explanations.MOST_ROWS} of {len(planes)} filters are drawn; --channels chooses, "
            ".npy holds all"
        )
        planes, numbers = planes[: explanations.MOST_ROWS], numbers[: explanations.MOST_ROWS]
    if planes.shape[1] > explanations.MOST_COLUMNS and planes.shape[2] * planes.shape[3] > 1:
        notes.append(
            f"of each filter the first {explanations.MOST_COLUMNS} of {planes.shape[1]} planes are "
            "drawn; .npy holds all"
        )
        planes = planes[:, : explanations.MOST_COLUMNS]
    row = found.row
    size = "×".join(map(str, found.planes.shape[2:]))
    title = f"{layer}: {len(found.planes)} filters of {size}"
    lines = [row.spec]
    if found.planes.shape[1] > 1 and not found.coloured:
        many = found.planes.shape[1]
        lines = [f"{row.spec}; a row a filter, a column for each of {many} {found.sees}s it sees"]
    pixels = explanations.filters_figure(planes, numbers, title, lines, coloured=found.coloured)
    return encode(Picture(pixels), format, quality=quality), notes


def _rows(found: Filters, subject: Subject, channels: Sequence[int]) -> tuple[int, ...]:
    """Numbers of the rows of the planes that were asked for."""
    count = len(found.planes)
    if count == found.row.output[0]:
        return channel_numbers(subject, found.row.name, channels)
    wrong = [number for number in channels if number >= count]
    if wrong:
        raise OptionError(
            f"layer {found.row.name} has no filter {wrong[0]}; it has {count}, numbered from 0"
        )
    return tuple(channels) or tuple(range(count))


# --- maximize


def class_goals(subject: Subject, labels: Sequence[str]) -> list[Goal]:
    """The scores of classes; ``all`` is each of them, unless a class is called so.

    Raises:
        NameNotFound: There is no such class.
        OptionError: The network tells a class of each pixel, not of the picture.
    """
    last = subject.network.rows[subject.network.last]
    if len(last.output) != 1:
        raise OptionError(
            f"the network gives scores for every pixel, {times(last.output)}; use --layer "
            f"{last.name} --channel N"
        )
    if list(labels) == ["all"] and "all" not in subject.classes:
        return [class_goal(subject, number) for number in range(len(subject.classes))]
    return [class_goal(subject, subject.class_number(label)) for label in dict.fromkeys(labels)]


def layer_goals(
    subject: Subject, layer: str, channels: Sequence[int], at: tuple[int, int] | None
) -> list[Goal]:
    """Maps, neurons or numbers of a layer.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: It has no such map or position.
    """
    return [layer_goal(subject, layer, channel, at) for channel in channels]


def name_of(goal: Goal) -> str:
    """What a goal is called in names of files and below pictures."""
    if goal.label:
        return goal.label
    place = "" if goal.at is None else f" at {goal.at[0]},{goal.at[1]}"
    return f"{goal.unit}{place}"


def stem_of(goal: Goal) -> str:
    """A goal's part of the name of its own file.

    Example:
        >>> stem_of(Goal("1.relu", 3, (4, 5))), stem_of(Goal("4.dense", 1, label="a/b"))
        ('1.relu-3-4-5', 'a-b')
    """
    if goal.label:
        return goal.label.replace("/", "-").replace("\0", "-").strip(".") or f"class-{goal.unit}"
    numbers = (goal.unit, *(goal.at or ()))
    return f"{goal.layer}-" + "-".join(map(str, numbers))


def told(found: Found) -> str:
    """How well the last picture does, in a line."""
    goal, value = found.goal, found.values[-1]
    if goal.label:
        return f"'{goal.label}': share {found.shares[-1]:.4f}, score {value:.4g}"
    return f"{goal.layer} {name_of(goal)}: {value:.4g}"


def weak(found: Sequence[Found]) -> str:
    """A note about pictures that failed; nothing if all did well."""
    lost = [f"'{one.goal.label}'" for one in found if one.goal.label and one.shares[-1] < 0.5]
    if lost:
        return (
            f"the network is not sure of its own pictures of {enumerated(lost, 60)}; another class "
            "scores as high: try another --seed, more --steps or another --l2"
        )
    shut = [
        f"{one.goal.layer} {name_of(one.goal)}"
        for one in found
        if not one.goal.label and one.values[-1] <= 0
    ]
    if shut:
        return (
            f"nothing lifts {enumerated(shut, 60)} above 0; try another --seed, more --steps or a "
            "smaller --l2"
        )
    return ""


def maximized_file(
    found: Sequence[Found], steps: Sequence[int], format: str, quality: int = 90
) -> bytes:
    """All pictures in one file: a sheet, or their samples as numbers.

    The array has the axes (steps, goals, H, W[, C]), without those of one entry in front.

    Args:
        found: The pictures.
        steps: Numbers of the steps that were kept.
        format: A key of :data:`cnntool.images.formats.FORMATS`.
        quality: Of JPEG and WebP.
    """
    if FORMATS[format].floats:
        # (T, K, C, H, W) -> (T, K, H, W[, C])
        every = np.moveaxis(np.stack([one.pictures for one in found], axis=1), 2, -1)
        every = every[..., 0] if every.shape[-1] == 1 else every
        if len(found) == 1:
            every = every[:, 0]
        return encode(np.ascontiguousarray(every[0] if len(steps) == 1 else every), format)
    rows = [[planes_to_pixels(stage) for stage in rounded(one)] for one in found]
    captions = [
        [
            f"{share:.4f}\nscore {value:.3g}" if one.goal.label else f"{value:.3g}"
            for value, share in zip(one.values, one.shares, strict=True)
        ]
        for one in found
    ]
    first = found[0].goal
    what = "each class" if first.label else f"each channel of {first.layer}"
    if len(found) == 1:
        what = f"class {first.label}" if first.label else f"{first.layer}, channel {name_of(first)}"
    heads = [f"step {step}" for step in steps]
    below = "the share that the network gives it" if first.label else "its activation"
    pixels = explanations.made_figure(
        rows,
        [name_of(one.goal) for one in found],
        captions,
        heads,
        f"what excites {what} most",
        [f"made in {steps[-1]} steps from noise", f"below: {below}"],
    )
    return encode(Picture(pixels), format, quality=quality)


def maximized_picture(found: Found, stage: int, format: str, quality: int = 90) -> bytes:
    """One picture as it is, for the network to see again."""
    if FORMATS[format].floats:
        samples = np.moveaxis(found.pictures[stage], 0, -1)
        return encode(
            np.ascontiguousarray(samples[..., 0] if samples.shape[-1] == 1 else samples), format
        )
    return encode(Picture(planes_to_pixels(rounded(found)[stage])), format, quality=quality)


def rounded(found: Found) -> NDArray[np.uint8]:
    """Pictures in 8 bits, (T, C, H, W)."""
    return np.rint(found.pictures).astype(np.uint8)
