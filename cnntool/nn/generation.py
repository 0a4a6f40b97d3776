"""How a model makes pictures: of what, and in how many stages.

The model's own specification is the first generator. Later ones get the picture of the stage
before, enlarged. Arrays of theirs have the names ``stage2/0.conv.weight``, those of a network that
turns a condition into means and spreads ``embed/0.dense.weight``.
"""

from __future__ import annotations

from dataclasses import dataclass

from cnntool.errors import SpecError
from cnntool.grammar import shown
from cnntool.nn.contradictions import (
    Contradiction,
    check_activations,
    check_choice,
    tensor_shapes,
    told,
)
from cnntool.nn.facts import Shape, times
from cnntool.nn.gan_spec import CONDITIONS, MOST_NUMBERS, MOST_STAGES, PICTURE_CONDITIONS
from cnntool.nn.layer_rows import Trace
from cnntool.nn.nodes import Chain
from cnntool.nn.shapes import trace
from cnntool.nn.spec import parse

JOINS = ("", "adds", "fills")
"""What becomes of a generator's picture: taken as it is, added to the one that it was made of, or
put into the middle of that."""

EMBED = "embed"


@dataclass(frozen=True, slots=True)
class Maker:
    """A later generator.

    Attributes:
        spec: Its specification.
        input: (C, H, W) of its input.
        joins: One of :data:`JOINS`.
    """

    spec: str
    input: Shape
    joins: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """How pictures are made.

    Attributes:
        condition: One of :data:`cnntool.nn.gan_spec.CONDITIONS`.
        width: Numbers of a condition that is a class or a vector; else 0.
        latent: Random numbers, or random maps where the first generator gets pictures.
        embed: Numbers that the condition is turned into; 0 leaves it as it is.
        embedding: Specification of the network that does it.
        joins: One of :data:`JOINS`, of the first generator.
        later: Generators of further stages.
    """

    condition: str = "none"
    width: int = 0
    latent: int = 0
    embed: int = 0
    embedding: str = ""
    joins: str = ""
    later: tuple[Maker, ...] = ()

    @property
    def of_pictures(self) -> bool:
        """Whether the condition is a picture."""
        return self.condition in PICTURE_CONDITIONS

    def networks(self) -> dict[str, tuple[str, Shape]]:
        """Specification and input of all networks but the first generator, by name.

        Example:
            >>> made = Generation(later=(Maker("conv 1 1", (2, 4, 4)),))
            >>> made.networks()
            {'stage2': ('conv 1 1', (2, 4, 4))}
        """
        found = {
            f"stage{number}": (maker.spec, maker.input)
            for number, maker in enumerate(self.later, 2)
        }
        if self.embed:
            found[EMBED] = (self.embedding, (self.width,))
        return found


def check_generation(given: object, first: Trace, classes: int) -> dict[str, tuple[int, ...]]:
    """Refuse what contradicts itself; names and shapes of the arrays of all further networks.

    Args:
        given: What a file says.
        first: The walk through the first generator.
        classes: How many classes have names.

    Raises:
        Contradiction: Something is wrong.
    """
    if not isinstance(given, Generation):
        raise Contradiction(f"its generation is {told(given)}")
    check_choice("condition", given.condition, CONDITIONS)
    check_choice("way to join pictures", given.joins, JOINS)
    for name in ("width", "latent", "embed"):
        value = getattr(given, name)
        if type(value) is not int or not 0 <= value <= MOST_NUMBERS:
            raise Contradiction(f"its {name} is {told(value)}; possible are 0 to {MOST_NUMBERS}")
    if not isinstance(given.later, tuple) or len(given.later) >= MOST_STAGES:
        raise Contradiction(f"its stages are no list of at most {MOST_STAGES}")
    if (given.condition in ("class", "vector")) != bool(given.width):
        raise Contradiction(f"its condition '{given.condition}' has {given.width} numbers")
    if given.condition == "class" and given.width != classes:
        raise Contradiction(f"its condition has {given.width} classes, {classes} have names")
    numbers = given.embed or given.width
    wanted: tuple[int, ...] = (given.latent + numbers,)
    of_numbers = len(first.input) == 1
    if of_numbers == given.of_pictures or (of_numbers and first.input != wanted):
        raise Contradiction(
            f"its first generator takes {times(first.input)}, which does not fit {given.latent} "
            f"random numbers and a condition '{given.condition}' of {numbers}"
        )
    shapes: dict[str, tuple[int, ...]] = {}
    picture = first.output
    for number, maker in enumerate(given.later, 2):
        if not isinstance(maker, Maker):
            raise Contradiction(f"stage {number} is {told(maker)}")
        check_choice("way to join pictures", maker.joins, JOINS[:2])
        found = _walk(f"stage {number}", maker.spec, maker.input)
        maps = picture[0] + min(given.latent, 1) + numbers
        halves = tuple(-(-side // 2) for side in found.input[1:])
        doubled = len(found.input) == 3 and picture[1:] == halves
        if not doubled or found.input[0] != maps or found.output != (picture[0], *found.input[1:]):
            raise Contradiction(
                f"stage {number} takes {times(found.input)} and makes {times(found.output)}, "
                f"after pictures of {times(picture)}"
            )
        picture = found.output
        shapes |= {f"stage{number}/{name}": shape for name, shape in tensor_shapes(found).items()}
    if given.embed:
        found = _walk(EMBED, given.embedding, (given.width,))
        if found.output != (2 * given.embed,):
            raise Contradiction(
                f"its embedding makes {times(found.output)}; {2 * given.embed} are needed"
            )
        shapes |= {f"{EMBED}/{name}": shape for name, shape in tensor_shapes(found).items()}
    return shapes


def _walk(name: str, spec: object, input: object) -> Trace:
    if not isinstance(spec, str):
        raise Contradiction(f"the specification of {name} is no text")
    if not (
        isinstance(input, tuple)
        and len(input) in (1, 3)
        and all(type(n) is int and 1 <= n <= MOST_NUMBERS for n in input)
    ):
        raise Contradiction(f"the input of {name} is {told(input)}")
    try:
        chain: Chain = parse(spec)
        found = trace(chain, input)
    except SpecError as error:
        raise Contradiction(f"{name} cannot be used: {shown(str(error), 200)}") from None
    check_activations(found)
    return found
