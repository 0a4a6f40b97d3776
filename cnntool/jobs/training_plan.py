"""``train`` before it begins: from what the user asked for to a plan, or to a checkpoint's."""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH112
from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool import models
from cnntool.augment.augmentation import Augmentation
from cnntool.data.dataset import Dataset
from cnntool.data.known import KNOWN
from cnntool.data.loading import load
from cnntool.data.masks import IGNORED
from cnntool.errors import (
    InputError,
    LimitError,
    ModelFileError,
    NameNotFound,
    OptionError,
    SpecError,
)
from cnntool.files import quote
from cnntool.jobs import fine_tuning
from cnntool.models import MODELS
from cnntool.nn import schedule
from cnntool.nn.facts import times
from cnntool.nn.gan_spec import parse_gan
from cnntool.nn.nodes import Chain, Layer
from cnntool.nn.shapes import trace
from cnntool.nn.spec import Spec, format_spec, parse
from cnntool.train import checkpoint, run_folder
from cnntool.train.gan_options import GanOptions
from cnntool.train.hog_logreg import NAME as HOG
from cnntool.train.options import Options, flag
from cnntool.train.recipe import FURTHER, recipe_for

MOST_CLASSES = 12
"""Classes that are named before a training."""

_GROUPS = ("items", "body", "main", "shortcut", "branches")  # where nodes hold other nodes


@dataclass(frozen=True)
class Plan:
    """A training before it begins.

    Attributes:
        options: What it is.
        dataset: What it learns from.
        name: Of its run, for the folder.
        notes: What a person should know.
        weights: First ones by name, of a model that training begins with.
    """

    options: Options
    dataset: Dataset
    name: str
    notes: tuple[str, ...] = ()
    weights: Mapping[str, NDArray[Any]] | None = None


def plan(
    source: str,
    model: str | None = None,
    find: Callable[[str, int | None], Spec] | None = None,
    **given: Any,
) -> Plan:
    """Load the data and resolve all options.

    Args:
        source: Name or path of the data set.
        model: Name of a built-in network, a specification, or a trained model to begin with; None
            takes the recipe's.
        find: From a text to a network: :func:`cnntool.jobs.networks.network`.
        **given: Options by name; those that are None are left to the recipe.

    Raises:
        InputError: The data cannot be used.
        OptionError: Options that make no sense.
        SpecError: The network does not fit the data.
    """
    asked = {name: value for name, value in given.items() if value not in (None, ())}
    new_head, freeze = asked.pop("new_head", False), asked.pop("freeze", ())
    begins = fine_tuning.begins(model, {"new_head": new_head, "freeze": freeze})
    if not begins and (new_head or freeze):
        raise OptionError(
            f"{'--freeze keeps' if freeze else '--new-head replaces'} layers of a trained model; "
            "name one: --model RUN/ or FILE.safetensors"
        )
    start = fine_tuning.Start.load(str(model)) if begins else None
    if start is not None:
        _check_unasked(asked, ("size", "color", "fit", "dropout", "init"))
        asked |= start.data
    if text := asked.get("augment"):
        Augmentation.parse(text)
    data = load_pictures(source, asked)
    _check_loss(asked, data)
    weights = None
    if start is not None:
        chosen = start.saved.name or "custom"
        fitted, weights = start.fitted(data, freeze, new_head=new_head)
        defaults = FURTHER
    else:
        recipe = recipe_for(data)
        name = model or recipe.model
        spec = _network(name, data, find)
        chosen = name if name in MODELS else "custom"
        text = _with_dropout(spec, asked.get("dropout"))
        fitted = {"spec": text, "input": data.shape}
        defaults = recipe.options_for(format_spec(parse(text)))
    # another network than the recipe was chosen for still learns with its options
    options = Options(
        dataset=source,
        model=chosen,
        classes=data.classes,
        **{**defaults, **asked, **fitted},
    )
    notes = list(data.notes)
    if options.batch_size > len(data.train):
        if "batch_size" in asked:
            notes.append(f"there are {len(data.train)} training pictures: that is the batch size")
        options = replace(options, batch_size=len(data.train))
    if options.patience and data.validation is None:
        raise OptionError(
            "--patience looks at validation pictures, and there are none; add --val-split 0.1"
        )
    # beside the run that it begins with, not over it
    name = f"{data.name}-{chosen}" + ("-tuned" if start is not None else "")
    return Plan(options, data, name, tuple(notes), weights)


def load_pictures(source: str, asked: Mapping[str, Any], *, unlabelled: bool = False) -> Dataset:
    """The data set to learn from.

    Args:
        source: Its name or path.
        asked: Options by name, as :class:`cnntool.train.options.Options` has them.
        unlabelled: Whether pictures alone will do.

    Raises:
        InputError, ModelFileError: The data cannot be used.
        OptionError: Options that make no sense with them.
    """
    return load(
        source,
        size=asked.get("size"),
        fit=asked.get("fit", "stretch"),
        color=asked.get("color"),
        limit=asked.get("limit"),
        val_split=asked.get("val_split", 0.0),
        seed=asked.get("seed", 0),
        # what a model that is trained further was framed with
        background=(asked.get("preprocessing") or {}).get("background"),
        unlabelled=unlabelled,
    )


def _check_loss(asked: Mapping[str, Any], data: Dataset) -> None:
    """Refuse losses that the data have no use for.

    Raises:
        OptionError: A loss of pixels where pictures have one class each.
    """
    loss = asked.get("loss", "cross-entropy")
    if loss != "cross-entropy" and not data.segments:
        raise OptionError(
            f"--loss {loss} compares regions of pixels, and '{data.name}' has one class for a "
            "picture; take cross-entropy"
        )


def folder_of_data(source: str) -> str:
    """The folder that a data set is read from; empty if it is no folder."""
    return "" if source in KNOWN or not os.path.isdir(source) else source


def _check_unasked(asked: Mapping[str, Any], names: Sequence[str]) -> None:
    """Refuse options that a model decides that training begins with.

    Raises:
        OptionError: One was given.
    """
    for name in names:
        if name in asked:
            raise OptionError(
                f"{flag(name)} is decided by the model that training begins with; leave it out"
            )


def _network(text: str, data: Dataset, find: Callable[[str, int | None], Spec] | None) -> Spec:
    """The network for a data set, which must give one number, or map, for each class."""
    count = len(data.classes)
    if text in MODELS:
        spec = models.create(text, count, data.shape)
    else:
        try:
            spec = Spec.of(text) if find is None else find(text, None)
        except NameNotFound:
            if get_close_matches(text, [HOG]):  # which is no network, but can be trained
                raise NameNotFound.among("model", text, [HOG], "cnntool models") from None
            raise
    found = trace(spec.chain, data.shape)
    if data.segments:
        wanted = (count, *data.shape[1:])
        if found.output != wanted:
            raise SpecError(
                f"the network ends in {times(found.output)}, '{data.name}' has {count} classes for "
                f"pixels of {times(data.shape[1:])}; let it end in {times(wanted)}, as unet and "
                "segnet do"
            )
    elif found.output != (count,):
        raise SpecError(
            f"the network ends in {times(found.output)}, '{data.name}' has {count} classes; let "
            f"it end in dense {count}"
        )
    return spec


def _with_dropout(spec: Spec, share: float | None) -> str:
    """The text of a network, with all dropout layers at one share."""
    if share is None:
        return spec.text
    changed: list[Layer] = []

    def change(value: Any) -> Any:
        if isinstance(value, Layer):
            if value.word != "dropout":
                return value
            changed.append(value)
            rest = tuple((name, x) for name, x in value.given if name != "p")
            return replace(value, given=(("p", share), *rest))
        if isinstance(value, tuple):
            return tuple(change(item) for item in value)
        if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
            names = [name for name in _GROUPS if name in value.__dataclass_fields__]
            return replace(value, **{name: change(getattr(value, name)) for name in names})
        return value

    chain = change(spec.chain)
    if not changed:
        raise OptionError("--dropout changes dropout layers, and the network has none")
    assert isinstance(chain, Chain)
    return format_spec(chain)


def resumed(
    folder: str, epochs: int | None = None
) -> tuple[checkpoint.Checkpoint[Any, Any], list[str]]:
    """The checkpoint of a run to go on from, with more epochs if asked for, and complaints.

    Raises:
        ModelFileError: There is none, or the training cannot be extended.
        OptionError: More epochs are done than were asked for.
        SystemFailure: The folder takes no files.
    """
    run_folder.reopen(folder)
    found, complaints = checkpoint.newest(folder)
    if complaints:
        complaints.append(f"going on from the checkpoint after {_where(found)}")
    options, progress = found.options, found.progress
    if epochs is None or epochs == options.epochs:
        return found, complaints
    if epochs < progress.epoch or (epochs == progress.epoch and progress.batch):
        raise OptionError(
            f"{quote(folder)} has trained {_where(found)} already; --epochs must be more"
        )
    reason = _fixed(found, epochs)
    if reason:
        raise ModelFileError(f"{quote(folder)} cannot be extended to {epochs} epochs: {reason}")
    longer: dict[str, int] = {"epochs": epochs}
    if not isinstance(options, GanOptions):
        longer["schedule_epochs"] = options.schedule_epochs or options.epochs
    return replace(found, options=replace(options, **longer)), complaints


def _where(found: checkpoint.Checkpoint[Any, Any]) -> str:
    progress = found.progress
    more = f" and {progress.batch} batches" if progress.batch else ""
    return f"{progress.epoch} epoch{'s' if progress.epoch != 1 else ''}{more}"


def _fixed(found: checkpoint.Checkpoint[Any, Any], epochs: int) -> str:
    """Why a training cannot become longer or shorter; empty if it can."""
    options, progress = found.options, found.progress
    if isinstance(options, GanOptions):
        staged = len(parse_gan(options.spec).stages) > 1
        if staged and (progress.stage or epochs <= progress.epoch):
            done = "its first stages are" if progress.stage > 1 else "its first stage is"
            return f"{done} complete, and all have equally many; start anew"
        return ""
    if found.progress.stopped_early:
        return f"it has ended by --patience {options.patience}; start anew without it"
    if schedule.extends(options.schedule):
        return ""
    return (
        f"the rates of the schedule '{options.schedule}' were chosen for {options.epochs}; start "
        "anew with --epochs, or with --schedule constant or step, which can be extended"
    )


def data_again(found: checkpoint.Checkpoint[Any, Any]) -> Dataset:
    """The data of a training that goes on, loaded again.

    Raises:
        ModelFileError: They have changed or are gone; the message says in what they differ.
    """
    options = found.options
    try:
        alone = isinstance(options, GanOptions)
        data = load_pictures(options.dataset, vars(options), unlabelled=alone)
    except LimitError:
        raise
    except (InputError, OptionError) as error:
        raise ModelFileError(
            f"the data that the training began with cannot be had: {error.message}"
        ) from error
    difference = _difference(found, data)
    if difference:
        raise ModelFileError(
            f"{quote(options.dataset)} is not what the training began with: {difference}; bring "
            "it back, or start anew"
        )
    return data


def _difference(found: checkpoint.Checkpoint[Any, Any], data: Dataset) -> str:
    """In what data differ from those of a checkpoint; empty if they are the same."""
    options = found.options
    if options.classes != data.classes:
        before, now = map(fine_tuning.listed, (options.classes, data.classes))
        return f"classes {before} became {now}"
    if options.input != data.shape:
        return f"pictures of {times(options.input)} became {times(data.shape)}"
    if found.facts.get("pictures") != counted(data):
        return f"{found.facts.get('pictures')} pictures became {counted(data)}"
    if found.facts.get("fingerprint") != data.fingerprint:
        return "as many pictures, but some of them, or their labels, have changed"
    return ""


def counted(data: Dataset) -> str:
    """How many pictures each part of a data set has."""
    parts = (("training", data.train), ("validation", data.validation), ("test", data.test))
    return ", ".join(f"{len(part)} {name}" for name, part in parts if part is not None)


def describe_data(data: Dataset) -> dict[str, str]:
    """What is said of a data set before a training: pictures, and classes with their counts."""
    counts = _shares(data)
    named = [
        f"{name[:24]} ({count})"
        for name, count in zip(data.classes[:MOST_CLASSES], counts, strict=False)
    ]
    if len(data.classes) > MOST_CLASSES:
        named.append(f"and {len(data.classes) - MOST_CLASSES} others")
    return {
        "data": f"{data.name}: {counted(data)} pictures {'x'.join(map(str, data.shape))}",
        "classes": f"{len(data.classes)}: {', '.join(named)}",
    }


def _shares(data: Dataset) -> list[str]:
    """How much of each class there is to learn from: pictures, or percents of all pixels."""
    count = len(data.classes)
    if not data.segments:
        return [str(many) for many in np.bincount(data.train.labels, minlength=count)]
    counts = np.bincount(data.train.labels.reshape(-1), minlength=IGNORED + 1)[:count]
    return [f"{share:.3g} %" for share in 100 * counts / max(counts.sum(), 1)]


def class_lines(data: Dataset) -> list[str]:
    """What ``--dry-run`` prints of classes."""
    return [
        "classes:",
        *(f"  {name}: {count}" for name, count in zip(data.classes, _shares(data), strict=True)),
    ]


def describe(chosen: Plan, threads: int, device: str, folder: str) -> dict[str, str]:
    """What is said before a training: data, network, recipe, where."""
    options = chosen.options
    found = trace(Spec.of(options.spec).chain, options.input)
    where = device if device != "cpu" else f"{threads} core{'s' if threads > 1 else ''}"
    return {
        **describe_data(chosen.dataset),
        "network": f"{options.model}: {found.params} parameters, {found.macs / 1e6:.3g} M MACs",
        **({"begins": fine_tuning.describe(options)} if options.start else {}),
        "training": f"{options.optimizer}, lr {options.lr:g} {options.schedule}, batches of "
        f"{options.batch_size}, {options.epochs} epoch{'s' if options.epochs > 1 else ''}, seed "
        f"{options.seed}, on {where}",
        "run": folder,
    }


def plan_lines(chosen: Plan) -> list[str]:
    """What ``--dry-run`` prints: options, classes with counts, shapes."""
    options, data = chosen.options, chosen.dataset
    lines = [
        f"{name} = {value}"
        for name, value in options.as_json().items()
        if name not in ("spec", "classes", "input", "preprocessing", "schedule_epochs")
    ]
    lines += class_lines(data)
    lines.append("layers:")
    found = trace(Spec.of(options.spec).chain, options.input)
    lines += [
        f"  {row.name}: {'x'.join(map(str, row.output))}, {row.params} parameters"
        for row in found.rows
    ]
    lines.append(f"parameters: {found.params}")
    return lines
