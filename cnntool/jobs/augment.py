"""``augment``: pictures changed at random, each several times, their masks along with them."""

# names stay strings: bytes that are no text pass through
# ruff: noqa: PTH112

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnntool.augment.augmentation import Augmentation
from cnntool.backend import Array
from cnntool.errors import InputError, OptionError
from cnntool.files import folder_id, quote
from cnntool.folder.job import STANDARD_OUTPUT, Done, Item
from cnntool.images.picture import Picture
from cnntool.images.reading import opened
from cnntool.jobs.augment_masks import Mask, find_mask, read_mask
from cnntool.jobs.augment_sheet import Shown, small
from cnntool.jobs.picture import PictureJob, Target, grey
from cnntool.report.class_colours import overlaid

MASKS = "masks"
"""Folder of the masks among results, beside or below that of the pictures."""

IMAGES = "images"


def file_seed(seed: int, item: Item) -> int:
    """The seed of one input: of the run's seed and the path below its root, 48 bits.

    So neither the order of inputs nor where their root lies changes what is drawn.

    Example:
        >>> file_seed(0, Item("a/cats/1.png", "cats")) == file_seed(0, Item("b/cats/1.png", "cats"))
        True
    """
    below = os.path.join(item.folder, os.path.basename(item.path)).replace(os.sep, "/")
    digest = hashlib.blake2b(b"%d\0%s" % (seed, os.fsencode(below)), digest_size=6).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, kw_only=True)
class AugmentJob(PictureJob):
    """Some copies of each picture, changed at random.

    Attributes:
        augmentation: The changes.
        copies: How many of each input are written.
        seed: Of the run.
        masks: Folder of masks, in the same tree as the pictures; '' if there are none.
        mask_fill: Label of what lies beyond a mask.
        sheet: Inputs that are shown on the sheet.
        shown: Copies of them that are shown there.
    """

    augmentation: Augmentation
    copies: int = 1
    seed: int = 0
    masks: str = ""
    mask_fill: int = 255
    sheet: frozenset[str] = frozenset()
    shown: int = 0

    def whats(self) -> tuple[str, ...]:
        """``a0``, ``a1`` and so on."""
        return tuple(f"a{number}" for number in range(self.copies))

    def buffers(self) -> int:
        """The picture in floats, framed, changed; with opacity once more."""
        return 4

    def floats(self, picture: Picture, target: Target) -> int:
        """Colours weighted by opacity are copies."""
        return super().floats(picture, target) + (2 * picture.pixels.size if picture.alpha else 0)

    def mask_place(self, item: Item, what: str) -> str:
        """The file of a mask: in ``masks/`` of the output folder, or beside its picture.

        An output folder called ``images`` has ``masks`` beside it, as data sets have.
        """
        plan = self.plan
        if plan.kind != "folder":
            path = self.place(item, what)
            return path if path == STANDARD_OUTPUT else f"{os.path.splitext(path)[0]}.mask.png"
        plan = replace(plan, target=masks_folder(plan.target))
        return os.path.splitext(plan.path(item, what))[0] + ".png"

    def check(self) -> None:
        """Refuse folders of masks that cannot be right, before anything is read.

        Raises:
            OptionError: There is none, results would go there, or nowhere.
        """
        if not self.masks:
            return
        if not os.path.isdir(self.masks):
            raise OptionError(f"--masks {quote(self.masks)}: no such folder")
        if not self.write:
            return
        if self.plan.kind == "stdout":
            raise OptionError("standard output has no room for masks; use -o DIR/ with --masks")
        if self.plan.kind == "folder":
            results = masks_folder(self.plan.target)
            if folder_id(results) == folder_id(self.masks):
                raise OptionError(
                    f"masks are read from {quote(self.masks)} and would be written there too; "
                    "choose another -o"
                )

    def outputs(self, item: Item) -> tuple[str, ...]:
        """Pictures, and their masks."""
        pictures = super().outputs(item)
        if not self.masks or not self.write:
            return pictures
        return (*pictures, *(self.mask_place(item, what) for what in self.whats()))

    def __call__(self, item: Item) -> Done:
        """Read, change as often as wanted, write; a row for every file, and one for the sheet."""
        notes: list[str] = []
        with opened(item.path, limits=self.limits, kernels=self.buffers()) as picture:
            notes += picture.notes
            if self.gray:
                picture = grey(picture)
            mask = self._mask(item, picture, notes)
            source = _Source(self, item, picture, mask)
            rows: list[Mapping[str, object]] = []
            done = Done()
            if self.write and self.copies:
                target = self.target(item, picture, notes)
                with self._reserved(self.floats(picture, target), picture):
                    done = self._written(source, target, rows, notes)
            if item.path in self.sheet:
                rows.append({"sheet": source.shown(self.shown)})
        return replace(done, rows=tuple(rows), notes=tuple(dict.fromkeys(notes)))

    def _mask(self, item: Item, picture: Picture, notes: list[str]) -> Mask | None:
        if not self.masks:
            return None
        mask = read_mask(find_mask(self.masks, item))
        size, own = picture.pixels.shape[:2], mask.labels.shape
        if own != size:
            raise InputError(
                f"its mask {quote(mask.path)} has {own[0]}x{own[1]} pixels, the picture "
                f"{size[0]}x{size[1]}; a mask has the size of its picture"
            )
        if mask.black_and_white and self.mask_fill == 255:
            notes.append(
                "the mask holds 0 and 255 alone, and 255 also marks what lies beyond it; "
                "--mask-fill 0 makes that black"
            )
        return mask

    def _written(
        self,
        source: _Source,
        target: Target,
        rows: list[Mapping[str, object]],
        notes: list[str],
    ) -> Done:
        item, done = source.item, Done()
        for number, what in enumerate(self.whats()):
            path = self.place(item, what)
            mask_path = self.mask_place(item, what) if source.mask is not None else path
            if not (self.plan.wants(path) or self.plan.wants(mask_path)):
                continue
            changed, labels = source.copy(number)
            fitted = self.ranged(changed, target, self.full_range(source.picture), notes)
            before = done.paths
            done = self.deliver(item, target, [(what, fitted)], done)
            done = replace(done, paths=(*before, *done.paths))
            record = {"source": item.path, "output": path, "copy": number, **source.drawn(number)}
            if source.mask is not None and labels is not None:
                if self.plan.write(mask_path, source.mask.encoded(labels)):
                    done = replace(done, paths=(*done.paths, mask_path))
                record["mask"] = mask_path
            rows.append({"record": record})
        return done


def masks_folder(target: str) -> str:
    """Where masks go when pictures go to the folder ``target``.

    Example:
        >>> masks_folder("more/images/"), masks_folder("more")
        ('more/masks', 'more/masks')
    """
    above, name = os.path.split(os.path.normpath(target))
    return os.path.join(above if name == IMAGES else os.path.normpath(target), MASKS)


class _Source:
    """One input, of which any copy can be made by itself."""

    def __init__(self, job: AugmentJob, item: Item, picture: Picture, mask: Mask | None) -> None:
        self.job, self.item, self.picture, self.mask = job, item, picture, mask
        self.seed = file_seed(job.seed, item)

    def copy(self, number: int) -> tuple[Picture, NDArray[np.uint8] | None]:
        """A changed copy in floats, and its labels."""
        job, picture = self.job, self.picture
        pixels = picture.pixels
        planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)
        x = job.on_device(np.ascontiguousarray(planes)[..., None])  # C H W 1
        where: dict[str, Any] = {
            "seed": self.seed,
            "step": 0,
            "offset": number,
            "full_range": job.full_range(picture),
            "alpha": picture.alpha,
        }
        if self.mask is None:
            return self._picture(job.augmentation.apply(x, **where)), None
        masks = job.on_device(self.mask.labels[None, ..., None])
        y, moved = job.augmentation.apply_with_masks(x, masks, ignore=job.mask_fill, **where)
        return self._picture(y), job.on_host(moved)[0, ..., 0]

    def drawn(self, number: int) -> dict[str, object]:
        """What was drawn for a copy, with what repeats it."""
        size = self.picture.pixels.shape
        (drawn,) = self.job.augmentation.drawn(
            (size[0], size[1]), seed=self.seed, step=0, offset=number
        )
        return {"seed": self.seed, "ops": str(self.job.augmentation), "drawn": drawn}

    def shown(self, copies: int) -> Shown:
        """The input and its first copies, as small as a sheet shows them."""
        labels = None if self.mask is None else self.mask.labels
        found = [self._small(self.picture, labels)]
        found += [self._small(*self.copy(number)) for number in range(copies)]
        return Shown(self.item.path, tuple(found))

    def _small(self, picture: Picture, labels: NDArray[np.uint8] | None) -> NDArray[np.uint8]:
        pixels = small(picture, self.job.full_range(self.picture))
        return pixels if labels is None or self.mask is None else overlaid(pixels, labels)

    def _picture(self, y: Array) -> Picture:
        planes = self.job.on_host(y)[..., 0]
        flat = self.picture.pixels.ndim == 2
        return replace(self.picture, pixels=planes[0] if flat else np.moveaxis(planes, 0, 2))
