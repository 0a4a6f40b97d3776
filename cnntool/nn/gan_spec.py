"""Specifications of adversarial networks: pairs of networks under a few words about their inputs.

::

    latent 64
    condition class
    stage 28x28
    generator
      dense 3136 | batchnorm | relu | reshape 64x7x7
      deconv 32 4 2 pad=1 | batchnorm | relu | deconv 1 4 2 pad=1 | tanh
    discriminator
      conv 32 4 2 pad=1 | leakyrelu 0.2 | conv 64 4 2 pad=1 | leakyrelu 0.2
      flatten | dense 11

``latent`` numbers are drawn for each picture. ``condition`` says what else the generator gets:
``none``; ``class``, one number for each class, of which one is 1; ``vector``, numbers that come
with the data; or a picture: ``superres`` a small one enlarged, ``colorize`` a grey one,
``inpaint`` one without its middle. ``embed N`` turns a condition into means and spreads of N
numbers that are drawn anew each time (conditioning augmentation). The first stage makes pictures of
numbers, each further one makes larger pictures of those before it; what an ``adds`` stage makes is
added to them.

The discriminator ends in one number, or where there is a condition of K numbers in K + 1: the first
ones times the condition, plus the last one, tell how real a picture is (a projection).

References:
    Goodfellow et al. 2014; Radford et al. 2016 (DCGAN); Mirza, Osindero 2014 (conditional);
    Denton et al. 2015 (LAPGAN); Zhang et al. 2017 (StackGAN); Miyato, Koyama 2018 (projection).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from cnntool.errors import SpecError
from cnntool.grammar import shown
from cnntool.nn.facts import Shape, times
from cnntool.nn.nodes import Chain, Layer
from cnntool.nn.shapes import trace
from cnntool.nn.spec import parse
from cnntool.nn.tokens import MAX_TEXT

PICTURE_CONDITIONS = ("superres", "colorize", "inpaint")
"""Conditions that are pictures, made from the pictures of the data."""

CONDITIONS = ("none", "class", "vector", *PICTURE_CONDITIONS)
"""What a generator may get beside random numbers."""

MOST_NUMBERS = 10_000
"""Most numbers of a latent vector, a condition or an embedding."""

MOST_STAGES = 8

_HEADS = ("latent", "condition", "embed", "stage", "generator", "discriminator")
_LINE = re.compile(rf"\s*({'|'.join(_HEADS)})\b[ \t]*(.*)")


@dataclass(frozen=True)
class Stage:
    """A generator and its discriminator.

    Attributes:
        size: Rows and columns of what it makes.
        adds: Whether that is added to the enlarged picture of the stage before.
        generator: Specification of the network that makes pictures.
        discriminator: Of the one that tells them from real ones.
    """

    size: tuple[int, int]
    adds: bool
    generator: str
    discriminator: str


@dataclass(frozen=True)
class GanSpec:
    """Adversarial networks.

    Attributes:
        text: As it was written.
        latent: Random numbers a picture; in a stage that gets pictures, random maps.
        condition: One of :data:`CONDITIONS`.
        embed: Numbers that a condition is turned into; 0 leaves it as it is.
        stages: In the order in which they are trained and used.
    """

    text: str = field(repr=False)
    latent: int
    condition: str
    embed: int
    stages: tuple[Stage, ...]

    @property
    def of_pictures(self) -> bool:
        """Whether the condition is a picture."""
        return self.condition in PICTURE_CONDITIONS


def is_gan(text: str) -> bool:
    r"""Whether a text is meant as adversarial networks: one of their words stands first.

    Example:
        >>> is_gan("# mine\nlatent 8"), is_gan("dense 10")
        (True, False)
    """
    first = next((line for line in _lines(text) if line.strip()), "")
    return bool(_LINE.match(first))


def parse_gan(text: str) -> GanSpec:
    r"""Adversarial networks from text.

    Args:
        text: At most a million characters.

    Raises:
        SpecError: It cannot be read; the message names the line.

    Example:
        >>> gan = parse_gan("latent 2\nstage 1x3\ngenerator dense 3\ndiscriminator dense 1")
        >>> gan.latent, gan.condition, gan.stages[0].generator
        (2, 'none', 'dense 3')
    """
    if len(text) > MAX_TEXT:
        raise SpecError(f"{len(text)} characters; a specification has at most {MAX_TEXT}")
    numbers = {"latent": 0, "embed": 0}
    condition = "none"
    stages: list[dict[str, object]] = []
    seen: set[str] = set()
    network: list[str] | None = None
    for number, line in enumerate(_lines(text), 1):
        found = _LINE.match(line)
        if found is None:
            if not line.strip():
                continue
            if network is None:
                raise SpecError(
                    f"line {number}: '{shown(line.strip())}' stands under no heading; such are "
                    f"{', '.join(_HEADS)}"
                )
            network.append(line)
            continue
        head, rest = found[1], found[2].strip()
        network = None
        if head in numbers or head == "condition":
            if head in seen or stages:
                raise SpecError(f"line {number}: '{head}' stands once, before the first stage")
            seen.add(head)
            if head == "condition":
                condition = _condition(rest, number)
            else:
                numbers[head] = _number(head, rest, number)
        elif head == "stage":
            stages.append(_stage(rest, number))
        else:
            if not stages or head in stages[-1]:
                raise SpecError(f"line {number}: '{head}' stands once in every stage, below it")
            network = [rest]
            stages[-1][head] = network
    spec = GanSpec(text, numbers["latent"], condition, numbers["embed"], tuple(_stages(stages)))
    _check(spec)
    return spec


def _lines(text: str) -> list[str]:
    """Lines without comments."""
    return [line.partition("#")[0].rstrip() for line in text.splitlines()]


def _number(head: str, rest: str, line: int) -> int:
    if not re.fullmatch(r"\d{1,6}", rest, re.ASCII) or int(rest) > MOST_NUMBERS:
        raise SpecError(
            f"line {line}: '{head}' takes a number from 0 to {MOST_NUMBERS}, not '{shown(rest)}'"
        )
    return int(rest)


def _condition(rest: str, line: int) -> str:
    if rest not in CONDITIONS:
        raise SpecError(
            f"line {line}: '{shown(rest)}' is no condition; such are {', '.join(CONDITIONS)}"
        )
    return rest


def _stage(rest: str, line: int) -> dict[str, object]:
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})(\s+adds)?", rest, re.ASCII)
    if not found or not int(found[1]) * int(found[2]):
        raise SpecError(
            f"line {line}: 'stage' takes rows and columns such as 28x28, and 'adds' or nothing; "
            f"got '{shown(rest)}'"
        )
    return {"size": (int(found[1]), int(found[2])), "adds": bool(found[3])}


def _stages(found: list[dict[str, object]]) -> Iterator[Stage]:
    for number, stage in enumerate(found, 1):
        texts = []
        for head in ("generator", "discriminator"):
            lines = stage.get(head)
            if not isinstance(lines, list):
                raise SpecError(f"stage {number} has no {head}")
            texts.append("\n".join(line for line in lines if line.strip()))
        size, adds = stage["size"], stage["adds"]
        assert isinstance(size, tuple) and isinstance(adds, bool)
        yield Stage(size, adds, *texts)


def _check(spec: GanSpec) -> None:
    """Refuse what could not be used with any data."""
    if not 1 <= len(spec.stages) <= MOST_STAGES:
        raise SpecError(f"{len(spec.stages)} stages; there must be 1 to {MOST_STAGES}")
    if spec.embed and spec.condition not in ("class", "vector"):
        raise SpecError("'embed' turns a class or vector into other numbers; there is none")
    if not spec.latent and spec.condition in ("none", "class"):
        raise SpecError("a generator without random numbers makes one picture; say 'latent 64'")
    if spec.of_pictures and len(spec.stages) > 1:
        raise SpecError(f"the condition {spec.condition} takes a single stage")
    if spec.stages[0].adds and not spec.of_pictures:
        raise SpecError("the first stage has no picture to add to; leave out its 'adds'")
    for number, (below, above) in enumerate(pairwise(spec.stages), 1):
        wanted = tuple(-(-side // 2) for side in above.size)
        if below.size != wanted:
            raise SpecError(
                f"stage {number} makes pictures of {times(below.size)}; half of the next one's, "
                f"rounded up, are {times(wanted)}"
            )


@dataclass(frozen=True)
class Pair:
    """The two networks of a stage, fitted to data.

    Attributes:
        stage: What it is.
        generator: Tree of the generator.
        input: Shape of its input.
        discriminator: Tree of the discriminator.
        judged: Shape of the discriminator's input.
        context: Maps of the picture that it gets beside the picture it judges.
    """

    stage: Stage
    generator: Chain
    input: Shape
    discriminator: Chain
    judged: Shape
    context: int


def pairs(spec: GanSpec, shape: tuple[int, int, int], width: int) -> list[Pair]:
    r"""The networks of all stages for pictures of a shape.

    Args:
        spec: The specification.
        shape: (C, H, W) of the data.
        width: Numbers of the condition: classes, or of a vector; 0 if it has none.

    Raises:
        SpecError: They do not fit; the message names stage and network.

    Example:
        >>> lines = ["latent 2", "stage 1x3", "generator dense 3 | reshape 1x1x3"]
        >>> text = "\n".join([*lines, "discriminator flatten | dense 1"])
        >>> pairs(parse_gan(text), (1, 1, 3), 0)[0].input
        (2,)
    """
    channels = shape[0]
    if spec.stages[-1].size != shape[1:]:
        raise SpecError(
            f"the last stage makes pictures of {times(spec.stages[-1].size)}, those of the data "
            f"are {times(shape[1:])}; bring them to that with --size"
        )
    given = spec.embed or width
    found = []
    for number, stage in enumerate(spec.stages):
        context = context_maps(spec.condition, channels) if spec.of_pictures else 0
        input: Shape
        if spec.of_pictures:
            input = (context + spec.latent, *stage.size)
        elif number == 0:
            input = (spec.latent + given,)
        else:
            input = (channels + min(spec.latent, 1) + given, *stage.size)
            context = channels if stage.adds else 0
        judged = (channels + context, *stage.size)
        name = f"stage {number + 1}, " if len(spec.stages) > 1 else ""
        generator = _fitted(stage.generator, input, (channels, *stage.size), f"{name}generator")
        last = generator.items[-1]
        if isinstance(last, Layer) and last.word in ("sigmoid", "softmax"):
            raise SpecError(
                f"{name}generator: it ends in {last.word}, which makes 0 to 1; samples are -1 to "
                "1, so take tanh"
            )
        discriminator = _fitted(stage.discriminator, judged, (width + 1,), f"{name}discriminator")
        found.append(Pair(stage, generator, input, discriminator, judged, context))
    return found


def context_maps(condition: str, channels: int) -> int:
    """Maps of a picture that is a condition.

    Example:
        >>> context_maps("colorize", 3), context_maps("superres", 3)
        (1, 3)
    """
    return 1 if condition == "colorize" else channels


def hole(height: int, width: int) -> tuple[slice, slice]:
    """The middle of a picture, half as high and half as wide, that ``inpaint`` fills.

    Example:
        >>> hole(28, 28)
        (slice(7, 21, None), slice(7, 21, None))
    """
    top, left = height // 4, width // 4
    return slice(top, height - top), slice(left, width - left)


def _fitted(text: str, input: Shape, output: Shape, name: str) -> Chain:
    try:
        chain = parse(text)
        found = trace(chain, input).output
    except SpecError as error:
        raise SpecError(f"{name}: {error.message}") from error
    if found != output:
        raise SpecError(
            f"{name}: from {times(input)} it makes {times(found)}; needed: {times(output)}"
        )
    return chain
