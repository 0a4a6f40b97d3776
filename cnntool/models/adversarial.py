"""Adversarial networks for small pictures: generators, and what they learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cnntool.errors import NameNotFound, OptionError
from cnntool.nn.facts import times
from cnntool.nn.gan_spec import GanSpec, context_maps, is_gan, parse_gan

_GOODFELLOW = "Goodfellow et al. 2014, Generative adversarial nets"
_DCGAN = (
    "Radford et al. 2016, Unsupervised representation learning with deep convolutional generative "
    "adversarial networks"
)
_CONDITIONAL = "Mirza and Osindero 2014, Conditional generative adversarial nets"
_LAPGAN = (
    "Denton et al. 2015, Deep generative image models using a Laplacian pyramid of adversarial "
    "networks"
)
_STACKGAN = (
    "Zhang et al. 2017, StackGAN: text to photo-realistic image synthesis with stacked generative "
    "adversarial networks"
)
_PIX2PIX = "Isola et al. 2017, Image-to-image translation with conditional adversarial networks"

Size = tuple[int, int, int]


@dataclass(frozen=True)
class Gan:
    """Adversarial networks that have a name.

    Attributes:
        name: How they are called.
        summary: What they are, one line.
        paper: Where they come from, one line.
        conditions: What the generator may get beside random numbers; the first is the default.
        build: The specification for (C, H, W) of pictures, numbers of a condition, the condition,
            and random numbers.
        latent: Random numbers, unless told otherwise.
        steps: Rows and columns must be divisible by this.
    """

    name: str
    summary: str
    paper: str
    conditions: tuple[str, ...]
    build: Callable[[Size, int, str, int], str]
    latent: int = 64
    steps: int = 4


def create_gan(
    name: str,
    shape: Size,
    width: int = 0,
    *,
    condition: str | None = None,
    latent: int | None = None,
) -> GanSpec:
    """The specification of built-in adversarial networks.

    Args:
        name: A key of :data:`GANS`.
        shape: (C, H, W) of the pictures.
        width: Numbers of the condition: classes, or of a vector.
        condition: What the generator gets; None takes the default.
        latent: Random numbers; None takes the default.

    Raises:
        NameNotFound: There is no such name, or no such condition.
        OptionError: Pictures of a size that the networks cannot make.

    Example:
        >>> create_gan("dcgan", (1, 28, 28)).stages[0].size
        (28, 28)
    """
    if name not in GANS:
        raise NameNotFound.among("model", name, GANS, "cnntool models")
    gan = GANS[name]
    chosen = condition or gan.conditions[0]
    if chosen not in gan.conditions:
        raise NameNotFound.among(f"condition of {name}", chosen, gan.conditions)
    if any(side % gan.steps for side in shape[1:]):
        raise OptionError(
            f"{name} makes pictures whose sides are divisible by {gan.steps}, got "
            f"{times(shape[1:])}; bring them to such a size with --size"
        )
    random = gan.latent if latent is None else latent
    return parse_gan(gan.build(shape, width, chosen, random))


def is_adversarial(model: str | None, condition: str | None) -> bool:
    """Whether a training is one of generators: by its model, or by what it makes pictures of.

    Args:
        model: A name or specification; None if there is none.
        condition: What a generator gets; None if nothing was asked for.

    Example:
        >>> is_adversarial("dcgan", None), is_adversarial("lenet5", None)
        (True, False)
    """
    return condition is not None or (model is not None and (model in GANS or is_gan(model)))


def _text(latent: int, condition: str, stages: list[tuple[str, str, str]], embed: int = 0) -> str:
    lines = [f"latent {latent}", f"condition {condition}"]
    if embed:
        lines.append(f"embed {embed}")
    for stage, generator, discriminator in stages:
        lines += [f"stage {stage}", "generator", *_indented(generator)]
        lines += ["discriminator", *_indented(discriminator)]
    return "\n".join(lines)


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.splitlines()]


def _of_numbers(channels: int, height: int, width: int, maps: int) -> str:
    """Numbers to a picture: a quarter of its size, then doubled twice."""
    h, w = height // 4, width // 4
    return (
        f"dense {2 * maps * h * w} bias=no | batchnorm | relu | reshape {2 * maps}x{h}x{w}\n"
        f"deconv {maps} 4 2 pad=1 bias=no | batchnorm | relu\n"
        f"deconv {channels} 4 2 pad=1 | tanh"
    )


def _judge(outputs: int, maps: int) -> str:
    """A picture halved twice, then judged.

    Dropout in place of normalisation: of 1000 digits of a dcgan after ten epochs the rarest class
    had 64, with normalisation 15 to 22.
    """
    return (
        f"conv {maps} 4 2 pad=1 | leakyrelu 0.2 | dropout 0.3\n"
        f"conv {2 * maps} 4 2 pad=1 | leakyrelu 0.2 | dropout 0.3\n"
        f"flatten | dense {outputs}"
    )


def _vanilla(shape: Size, width: int, condition: str, latent: int) -> str:
    c, h, w = shape
    generator = (
        f"dense 256 | relu | dense 512 | relu | dense {c * h * w} | tanh\nreshape {c}x{h}x{w}"
    )
    judge = (
        f"flatten | dense 256 | leakyrelu 0.2 | dropout 0.3\n"
        f"dense 128 | leakyrelu 0.2 | dropout 0.3 | dense {width + 1}"
    )
    return _text(latent, condition, [(f"{h}x{w}", generator, judge)])


def _dcgan(shape: Size, width: int, condition: str, latent: int) -> str:
    c, h, w = shape
    return _text(latent, condition, [(f"{h}x{w}", _of_numbers(c, h, w, 32), _judge(width + 1, 32))])


def _lapgan(shape: Size, width: int, condition: str, latent: int) -> str:
    """Two halvings: a small picture of numbers, and what is missing at each doubling."""
    c, h, w = shape
    first = (
        f"{h // 4}x{w // 4}",
        f"dense 256 bias=no | batchnorm | relu | dense 256 bias=no | batchnorm | relu\n"
        f"dense {c * (h // 4) * (w // 4)} | tanh | reshape {c}x{h // 4}x{w // 4}",
        f"conv 64 3 pad=1 | leakyrelu 0.2 | flatten\n"
        f"dense 256 | leakyrelu 0.2 | dropout 0.3 | dense {width + 1}",
    )
    later = [
        (
            f"{h // part}x{w // part} adds",
            "(conv 32 3 pad=1 bias=no | batchnorm | relu)*3\n" + f"conv {c} 3 pad=1",
            _judge(width + 1, 32),
        )
        for part in (2, 1)
    ]
    return _text(latent, condition, [first, *later])


def _stackgan(shape: Size, width: int, condition: str, latent: int) -> str:
    """Half the size of numbers; then the whole size of that and the condition."""
    c, h, w = shape
    half = h // 2, w // 2
    first = (
        f"{half[0]}x{half[1]}",
        f"dense {64 * (half[0] // 2) * (half[1] // 2)} bias=no | batchnorm | relu\n"
        f"reshape 64x{half[0] // 2}x{half[1] // 2}\n"
        f"deconv 32 4 2 pad=1 bias=no | batchnorm | relu | conv {c} 3 pad=1 | tanh",
        _judge(width + 1, 32),
    )
    second = (
        f"{h}x{w}",
        "conv 16 3 pad=1 | relu | conv 32 4 2 pad=1 bias=no | batchnorm | relu\n"
        "residual(conv 32 3 pad=1 bias=no | batchnorm | relu | conv 32 3 pad=1) | relu\n"
        f"deconv 16 4 2 pad=1 bias=no | batchnorm | relu | conv {c} 3 pad=1 | tanh",
        _judge(width + 1, 32),
    )
    return _text(latent, condition, [first, second], embed=16)


def _translate(shape: Size, width: int, condition: str, latent: int) -> str:
    """A small U-Net from pictures to pictures."""
    c, h, w = shape
    double = "(conv {0} 3 pad=1 bias=no | batchnorm | relu)*2"
    generator = (
        f"{double.format(32)}\n"
        "skip(\n"
        f"  maxpool 2 | {double.format(64)}\n"
        f"  skip(maxpool 2 | {double.format(64)} | deconv 64 2 2)\n"
        f"  {double.format(64)} | deconv 32 2 2\n"
        ")\n"
        f"{double.format(32)}\n"
        f"conv {c} 1"
    )
    same = context_maps(condition, c) == c and condition == "superres"
    if not same:
        generator += " | tanh"
    stage = f"{h}x{w} adds" if same else f"{h}x{w}"
    return _text(latent, condition, [(stage, generator, _judge(1, 32))])


GANS: Mapping[str, Gan] = MappingProxyType(
    {
        gan.name: gan
        for gan in (
            Gan(
                "vanilla",
                "the first GAN: dense layers",
                _GOODFELLOW,
                ("none", "class", "vector"),
                _vanilla,
                steps=1,
            ),
            Gan("dcgan", "convolutional GAN", _DCGAN, ("none", "class", "vector"), _dcgan),
            Gan(
                "conditional",
                "convolutional GAN that is told the class",
                _CONDITIONAL,
                ("class", "vector"),
                _dcgan,
            ),
            Gan(
                "lapgan",
                "a GAN for each level of a Laplacian pyramid",
                _LAPGAN,
                ("class", "none", "vector"),
                _lapgan,
            ),
            Gan(
                "stackgan",
                "a small picture first, then a large one of it",
                _STACKGAN,
                ("class", "vector"),
                _stackgan,
            ),
            Gan(
                "translate",
                "pictures from pictures: larger, in colour, or without gaps",
                _PIX2PIX,
                ("superres", "colorize", "inpaint"),
                _translate,
                latent=0,
            ),
        )
    }
)
"""Name -> adversarial networks, in the order in which they are listed."""
