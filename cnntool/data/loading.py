"""From what a user calls a data set to the data set: a name, a folder, a file.

The fingerprint is taken of what was read: after ``limit``, which leaves most of a folder unread,
and before ``val_split``, which only moves pictures from one part to another. So the same data with
another share for validation are the same data, and a folder in which a picture changed is not.
Options and seed are for whoever continues a training to compare.
"""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH110, PTH112, PTH113, PTH208

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cnntool.data.choosing import held_out, limited
from cnntool.data.cifar import PICKLES, TEST, load_cifar
from cnntool.data.class_folders import load_class_folders, part_folders
from cnntool.data.dataset import Dataset, Split
from cnntool.data.fingerprint import fingerprint
from cnntool.data.fitting import COLORS, prepared
from cnntool.data.idx_folders import idx_sets, load_idx
from cnntool.data.known import KNOWN, Known
from cnntool.data.masks import IGNORED, IMAGES, has_masks, load_masks
from cnntool.data.npz import load_npz
from cnntool.data.pictures import Wish
from cnntool.data.places import found as place_of
from cnntool.errors import InputError, ModelFileError, NameNotFound, OptionError
from cnntool.files import quote
from cnntool.images.formats import FORMATS, sniff
from cnntool.images.picture import Picture

FORMS = (
    "a data set is a folder with a folder of pictures for each class (or train/ val/ test/ above "
    "these), with images/ and masks/, or with IDX files, or a .npz with x_train and y_train"
)


def load(
    source: str,
    *,
    size: tuple[int, int] | None = None,
    fit: str = "stretch",
    color: str | None = None,
    limit: int | None = None,
    val_split: float = 0.0,
    seed: int = 0,
    classes: Sequence[str] = (),
    background: float | None = None,
    one_class: bool = False,
    unlabelled: bool = False,
) -> Dataset:
    """The data set called ``source``.

    Args:
        source: A name of :data:`~cnntool.data.known.KNOWN`, a folder, or a ``.npz``. ``mnist`` is
            always the built-in one; ``./mnist`` names a folder.
        size: Rows and columns that pictures are brought to; None keeps theirs, which must agree.
        fit: ``stretch``, ``crop`` or ``pad``: how.
        color: ``gray`` or ``rgb``; None: grey if all pictures are.
        limit: Most pictures of ``train``, chosen by ``seed``, each class its share.
        val_split: Share of ``train`` that becomes ``validation``, at least 0, less than 1; chosen
            by ``seed``, each class its share.
        seed: At least 0.
        classes: Names and order of the classes, if a network has fixed them.
        background: What surrounds padded pictures, from 0, black, to 1, white, if a network has
            fixed it; None: what their edges are.
        one_class: Take a data set that shows a single class: there is nothing to learn from it, but
            a network can be measured with it. So it is where ``classes`` are given.
        unlabelled: Take a folder of pictures without folders of classes too, as one class: for
            what learns from pictures alone.

    Raises:
        ModelFileError: Something about the data is wrong, unsafe, or no data set at all.
        InputError: There is no such file or folder, or it was not downloaded.
        LimitError: It does not fit the memory.
        NameNotFound: An unknown name, ``fit`` or ``color``.
        OptionError: ``limit`` or ``val_split`` make no sense here.
    """
    wish = Wish(size=size, fit=fit, color=color, background=background)
    wish.check()
    if limit is not None and limit < 1:
        raise OptionError(f"a limit of {limit} pictures; at least 1 is needed")
    if not 0 <= val_split < 1:
        raise OptionError(f"a share of {val_split:g} for validation; 0 to below 1 makes sense")
    found = _found(source, wish, limit, seed, classes, unlabelled=unlabelled)
    if limit is not None and len(found.train) > limit and not found.segments:
        found = replace(
            found, train=found.train.take(limited(found.train.labels, limit, seed)), fingerprint=""
        )
    found = _brought(found, wish)
    found = _checked(found, single=one_class or unlabelled or bool(classes))
    if not found.fingerprint:
        parts = {"train": found.train, "validation": found.validation, "test": found.test}
        found = replace(found, fingerprint=fingerprint(found.classes, parts))
    return _divided(found, val_split, seed)


def picture_files(source: str) -> dict[str, str]:
    """Folders of picture files that a data set consists of, by part; none for other data sets.

    A name or a file is another one, as is a folder with IDX files or CIFAR. What has no parts is
    ``train``.

    Raises:
        ModelFileError: The folder cannot be read, or is unsafe.
    """
    if _known_name(source) is not None or not os.path.isdir(source):
        return {}
    masks = has_masks(source)
    if not masks and not _is_class_folders(source):
        return {}
    parts = part_folders(source) or {"train": source}
    return {name: os.path.join(path, IMAGES) if masks else path for name, path in parts.items()}


def _found(
    source: str,
    wish: Wish,
    limit: int | None,
    seed: int,
    classes: Sequence[str],
    *,
    unlabelled: bool,
) -> Dataset:
    name = _known_name(source)
    if name is not None:
        found = _known(KNOWN[name])
        if os.path.exists(source):
            note = f"{quote(source)} here is another one; ./{source} names it"
            found = replace(found, notes=(*found.notes, note))
        return _renumbered(found, classes)
    if os.path.isdir(source):
        if has_masks(source):
            return load_masks(source, wish, limit=limit, seed=seed, classes=classes)
        if _is_class_folders(source):
            return load_class_folders(
                source, wish, limit=limit, seed=seed, classes=classes, unlabelled=unlabelled
            )
        if os.path.isfile(os.path.join(source, TEST)):
            return _renumbered(load_cifar(source), classes)
        return _renumbered(load_idx(source), classes)
    if os.path.isfile(source):
        return _renumbered(_file(source), classes)
    folder, name = os.path.split(source)
    if name and os.path.isdir(folder or ".") and name in idx_sets(folder or "."):
        return _renumbered(load_idx(folder or ".", name), classes)
    if re.fullmatch(r"[\w-]+", source):
        raise NameNotFound.among("data set", source, KNOWN, "cnntool datasets")
    raise InputError(f"{quote(source)}: no such file or folder; {FORMS}")


def _known_name(source: str) -> str | None:
    """The known data set that is meant: its name, or another way to write it."""
    if source in KNOWN:
        return source
    if os.path.exists(source) or not re.fullmatch(r"[\w-]+", source):
        return None
    plain = {re.sub("[-_]", "", name): name for name in KNOWN}
    return plain.get(re.sub("[-_]", "", source).lower())


def _known(entry: Known) -> Dataset:
    if entry.kind == "embedded":
        from cnntool.data import mnist

        return mnist.load()
    folder = place_of(entry)
    if folder is None:
        here = f"; ./{entry.name} names the folder here" if os.path.isdir(entry.name) else ""
        raise InputError(
            f"{entry.name} is not on this machine; 'cnntool datasets download {entry.name}' "
            f"gets it{here}"
        )
    found = load_cifar(folder) if entry.kind == "cifar" else load_idx(folder)
    return replace(found, name=entry.name)


def _is_class_folders(folder: str) -> bool:
    """Whether it holds neither IDX files nor CIFAR; refuses what is known but not read."""
    try:
        names = set(os.listdir(folder))
    except OSError as error:
        raise ModelFileError(
            f"{quote(folder)}: cannot be read: {error.strerror or error}"
        ) from error
    if names & set(PICKLES) and TEST not in names:
        raise ModelFileError(
            f"{quote(folder)}: CIFAR as Python pickles, which can run code and are never read; "
            "take the binary version"
        )
    return TEST not in names and not idx_sets(folder)


def _file(path: str) -> Dataset:
    """A file: .npz by content, anything else with a word on what to do."""
    try:
        with open(path, "rb") as file:
            start = file.read(64)
    except OSError as error:
        raise ModelFileError(f"{quote(path)}: cannot be read: {error.strerror or error}") from error
    if start.startswith(b"PK"):
        return load_npz(path)
    kind = sniff(start)
    if kind == "npy":
        hint = "one array; save pictures and labels with numpy.savez"
    elif kind is not None:
        hint = f"one {FORMATS[kind].title} picture; name the folder above its class"
    elif start.startswith((b"\0\0", b"\x1f\x8b")) and "idx" in os.path.basename(path):
        hint = "one IDX file; name its folder"
    else:
        hint = f"no data set; {FORMS}"
    raise ModelFileError(f"{quote(path)}: {hint}")


def _renumbered(found: Dataset, classes: Sequence[str]) -> Dataset:
    """The data set with classes in a network's order."""
    names = tuple(classes)
    if not names or names == found.classes:
        return found
    place = {name: number for number, name in enumerate(names)}
    numbers = np.array([place.get(name, -1) for name in found.classes], np.int64)

    def renumber(part: Split | None) -> Split | None:
        if part is None:
            return None
        labels = numbers[part.labels]
        if len(labels) and labels.min() < 0:
            name = found.classes[int(part.labels[labels.argmin()])]
            raise ModelFileError(
                f"{found.name}: class '{name}' is no class of the network; "
                f"it has {', '.join(names[:6])}{' …' if len(names) > 6 else ''}"
            )
        return replace(part, labels=labels)

    train, test, validation = map(renumber, (found.train, found.test, found.validation))
    return replace(
        found, classes=names, train=train or found.train, test=test, validation=validation,
        fingerprint="",
    )  # fmt: skip


def _brought(found: Dataset, wish: Wish) -> Dataset:
    """Size and colour as wished, for data that came as arrays."""
    channels, *size = found.shape
    color = wish.color or found.color
    if (wish.size or tuple(size)) == tuple(size) and channels == COLORS[color]:
        return found
    background = wish.surround(image.transpose(1, 2, 0) for image in found.train.images)

    def bring(part: Split | None) -> Split | None:
        if part is None:
            return None
        rows, columns = wish.size or size
        images = np.empty((len(part), COLORS[color], rows, columns), np.uint8)
        for number, image in enumerate(part.images):
            pixels = image[0] if channels == 1 else image.transpose(1, 2, 0)
            images[number] = prepared(Picture(pixels), color, wish.size, wish.fit, background)
        return replace(part, images=images)

    train, test, validation = map(bring, (found.train, found.test, found.validation))
    return replace(
        found, train=train or found.train, test=test, validation=validation, color=color,
        fit=wish.fit if wish.size is not None else "", background=background, fingerprint="",
    )  # fmt: skip


def _checked(found: Dataset, *, single: bool) -> Dataset:
    """Refuse what nothing can be learned from; empty parts are none."""
    if not len(found.train):
        raise ModelFileError(f"{found.name}: no pictures to learn from")
    present = np.unique(found.train.labels)
    if found.segments:
        present = present[present != IGNORED]
    if not len(present):
        raise ModelFileError(f"{found.name}: no pixel has a class; all are {IGNORED}")
    if len(present) < 2 and not single:
        things = "pixels" if found.segments else "pictures"
        raise ModelFileError(
            f"{found.name}: all {things} are of one class, '{found.classes[int(present[0])]}'; "
            "two at least are needed"
        )
    test = found.test if found.test is not None and len(found.test) else None
    validation = found.validation
    if validation is not None and not len(validation):
        validation = None
    if (test, validation) == (found.test, found.validation):
        return found
    return replace(found, test=test, validation=validation, fingerprint="")


def _divided(found: Dataset, share: float, seed: int) -> Dataset:
    """The data set with a part for validation taken from train."""
    if not share:
        return found
    if found.validation is not None:
        raise OptionError(f"{found.name} has a part for validation already; leave --val-split out")
    labels = found.train.labels
    # masks have many classes at once: all pictures count as of one
    held = held_out(np.zeros(len(labels), np.int64) if found.segments else labels, share, seed)
    if not held.any():
        raise OptionError(
            f"a share of {share:g} of {len(held)} pictures is none; choose a larger --val-split"
        )
    numbers = np.arange(len(held))
    return replace(
        found, train=found.train.take(numbers[~held]), validation=found.train.take(numbers[held])
    )
