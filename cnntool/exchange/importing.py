"""What is known of a model besides its layers and weights, where a file does not say it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cnntool.errors import OptionError
from cnntool.grammar import shown
from cnntool.nn.facts import Shape, times
from cnntool.nn.saved_model import COLORS, Preprocessing

IMAGENET = Preprocessing(
    color="rgb", fit="crop", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
)
"""What torchvision's weights were trained with."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user says of a file.

    Attributes:
        classes: Names of the classes; None: the file's own, or none.
        input: (C, H, W), or (n,); None: what the file says.
        scale: Factor on samples 0..255; None: the file's, or 1/255.
        mean: Subtracted from each channel, or from all.
        std: What each channel is divided by, or all.
        fit: How pictures are brought to the size.
    """

    classes: tuple[str, ...] | None = None
    input: Shape | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    fit: str | None = None

    @property
    def preprocesses(self) -> bool:
        """Whether anything is said of the preprocessing."""
        return (self.scale, self.mean, self.std, self.fit) != (None,) * 4

    def preprocessing(self, shape: Shape, known: Preprocessing | None) -> Preprocessing:
        """How pictures are made ready.

        Args:
            shape: Of the network's input, or of its output if it makes pictures.
            known: What the file says, or what is known of its weights.

        Raises:
            OptionError: There are more numbers than channels, or fewer.
        """
        count = shape[0] if len(shape) == 3 else 1
        color = next((word for word, channels in COLORS.items() if channels == count), "")
        if not color:
            raise OptionError(
                f"its pictures have {times(shape)}: {count} channels; models here take grey (1) or "
                "RGB (3)"
            )
        if known is None or known.color != color:
            plain = (0.0,) * count, (1.0,) * count
            known = Preprocessing(color=color, mean=plain[0], std=plain[1])
        mean = known.mean if self.mean is None else _spread("mean", self.mean, count)
        std = known.std if self.std is None else _spread("std", self.std, count)
        scale = known.scale if self.scale is None else self.scale
        return replace(known, scale=scale, mean=mean, std=std, fit=self.fit or known.fit)

    def names(self, outputs: int, known: tuple[str, ...]) -> tuple[str, ...]:
        """Names of the classes.

        Raises:
            OptionError: They are not as many as the network tells apart.
        """
        if self.classes is None:
            return known if len(known) == outputs else ()
        if len(self.classes) != outputs and (outputs, len(self.classes)) != (1, 2):
            raise OptionError(
                f"there are {len(self.classes)} class names ('{shown(self.classes[0], 30)}' to "
                f"'{shown(self.classes[-1], 30)}'), and the network has {outputs} outputs; each "
                "needs a name"
            )
        return self.classes


def _spread(name: str, numbers: tuple[float, ...], count: int) -> tuple[float, ...]:
    """One number for all channels, or one each."""
    if len(numbers) == 1:
        return numbers * count
    if len(numbers) != count:
        raise OptionError(f"--{name} has {len(numbers)} numbers; pictures have {count} channels")
    return numbers


def task_of(input: Shape, output: Shape) -> str:
    """What a network is for, by its shapes: a class, a class a pixel, or pictures."""
    if len(output) == 1:
        return "classify"
    return "segment" if len(input) == 3 else "generate"
