"""Pictures that a network answers most to, by gradient ascent from noise.

What is looked for is argmax S(I) - λ‖I‖², S being the score of a class before the softmax, or what
a neuron or map of any layer gives. Scores of networks differ by orders of magnitude, so every step
takes the gradient of S divided by its root mean square: a penalty means the same for all networks.
The gradient is smoothed, at first much and then less, so that strokes come before specks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cnntool.backend import Array
from cnntool.errors import OptionError
from cnntool.explain.ascent import Ascent
from cnntool.explain.subject import Subject
from cnntool.explain.views import Views, blurred
from cnntool.nn.facts import times
from cnntool.predict.classifier import check_finite, group_size

MOMENTUM = 0.9
"""Share of the direction so far in the next step."""

FINEST = 0.5
"""What is left of the smoothing at the last step."""

_NOISE = 0.3  # of the first picture, in standard deviations of the network's input
_RANDOM = 10.0  # a random step is so much longer: the next ones undo a part of it
_BLUR = 0.5  # pixels, of --blur-every
_BATCH = 32  # pictures at a time, at most
_TINY = 1e-12


@dataclass(frozen=True, slots=True)
class Goal:
    """What is to be excited.

    Attributes:
        layer: Name of the layer.
        unit: Number of the map, or of the number of a vector.
        at: Row and column of a neuron of the map; None: the mean of the map.
        label: The class that it stands for; empty for others.
        sign: -1 for the first of two classes that a single output tells apart.
    """

    layer: str
    unit: int
    at: tuple[int, int] | None = None
    label: str = ""
    sign: float = 1.0


@dataclass(frozen=True, eq=False)
class Found:
    """Pictures that excite a goal.

    Attributes:
        goal: The goal.
        pictures: Samples 0..255 at each step that was kept, (T, C, H, W).
        values: What the goal gives for each, rounded to 8 bits.
        shares: Share of the class among all, for each; NaN where the goal is no class.
    """

    goal: Goal
    pictures: NDArray[np.float32]
    values: NDArray[np.float32]
    shares: NDArray[np.float64]


def class_goal(subject: Subject, number: int) -> Goal:
    """The score of a class."""
    label, last = subject.classes[number], subject.network.last
    if subject.plain.output[0] == 1:
        return Goal(last, 0, label=label, sign=1.0 if number else -1.0)
    return Goal(last, number, label=label)


def layer_goal(
    subject: Subject, layer: str, channel: int, at: tuple[int, int] | None = None
) -> Goal:
    """A map, neuron or number of a layer.

    Raises:
        NameNotFound: There is no such layer.
        OptionError: It has no such map or position.
    """
    shape = subject.layer(layer).output
    if not 0 <= channel < shape[0]:
        raise OptionError(
            f"layer {layer} has no channel {channel}; it gives {times(shape)}, channels 0 to "
            f"{shape[0] - 1}"
        )
    if at is not None and len(shape) != 3:
        raise OptionError(f"layer {layer} gives {times(shape)}, without positions; leave --at out")
    if at is not None and not (at[0] < shape[1] and at[1] < shape[2]):
        raise OptionError(
            f"layer {layer} has no position {at[0]},{at[1]}; its maps have {shape[1]} rows and "
            f"{shape[2]} columns, counted from 0"
        )
    return Goal(layer, channel, at)


def maximize(
    subject: Subject,
    goals: Sequence[Goal],
    how: Ascent | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> list[Found]:
    """A picture for each goal, all by the same rules and each from noise of its own.

    Args:
        subject: The network.
        goals: What is to be excited, all in one layer.
        how: The rules.
        progress: Is told how many steps are done, and how many there are.

    Raises:
        ModelFileError: The network gives numbers that are not finite.

    References:
        Erhan et al. 2009, Visualizing higher-layer features of a deep network.
        Simonyan, Vedaldi, Zisserman 2014, Deep inside convolutional networks, section 2.
        Yosinski et al. 2015, Understanding neural networks through deep visualization: blurring and
        clipping. Olah, Mordvintsev, Schubert 2017, Feature visualization: moves.

    Example:
        What a filter for falling brightness likes:

        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("conv 1 1x2 bias=no"), (1, 2, 2))
        >>> net.load({"0.conv.weight": np.array([1.0, -1.0]).reshape(1, 1, 1, 2)})
        >>> how = Preprocessor(Preprocessing(color="gray", mean=(0.5,), std=(0.25,)), (2, 2))
        >>> subject = Subject(ObservedNetwork(net), how, ())
        >>> goal = layer_goal(subject, "0.conv", 0)
        >>> rules = Ascent(steps=40, l2=0.1, jitter=0, scale=0, rotate=0, smooth=0)
        >>> found = maximize(subject, [goal], rules)
        >>> found[0].pictures.round(-1).tolist()
        [[[[250.0, 0.0], [250.0, 0.0]]]]
    """
    how = how or Ascent()
    batch = max(1, min(_BATCH, group_size(subject.plain)))
    found: list[Found] = []
    parts = [goals[first : first + batch] for first in range(0, len(goals), batch)]
    done = 0

    def told(step: int) -> None:
        if progress is not None:
            progress(done + step, len(parts) * how.steps)

    # numbers that are too large are told once, in the end, not by every operation
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for part in parts:
            found += _Climb(subject, part, how).go(told)
            done += how.steps
    return found


class _Climb:
    """The ascent of one batch."""

    def __init__(self, subject: Subject, goals: Sequence[Goal], how: Ascent) -> None:
        self.subject, self.goals, self.how = subject, goals, how
        self.device, self.xp = subject.device, subject.device.xp
        # a picture's chances do not depend on which others are made with it
        self.chances = [np.random.default_rng([how.seed, goal.unit]) for goal in goals]
        side = min(subject.shape[1:])
        self.smooth = 1.5 * (side / 28) ** 0.5 if how.smooth is None else how.smooth

    def go(self, progress: Callable[[int], None]) -> list[Found]:
        how, xp = self.how, self.xp
        x = self.strokes(self.smooth) * np.float32(_NOISE)
        xp.clip(x, *self.range, out=x)
        direction, kept = xp.zeros_like(x), []
        for step in range(1, how.steps + 1):
            direction *= np.float32(MOMENTUM)
            direction += np.float32(1 - MOMENTUM) * self.slope(x, step)
            x += np.float32(how.rate) * direction
            if how.blur_every and step % how.blur_every == 0 and step < how.steps:
                x = blurred(x, _BLUR, self.device)
            if how.clip_percent:
                x = self.clipped(x)
            xp.clip(x, *self.range, out=x)
            if step in how.kept:
                kept.append(self.device.to_host(self.subject.preprocess.restore(x)))
            progress(step)
        pictures = np.stack(kept)
        check_finite(pictures)
        return self.found(np.clip(pictures, 0, 255))

    def strokes(self, sigma: float) -> Array:
        """Smoothed noise for every picture, of root mean square 1, (C, H, W, N)."""
        shape = self.subject.shape
        noise = [rng.standard_normal(shape, np.float32) for rng in self.chances]
        x = blurred(self.device.to_device(np.stack(noise, axis=-1)), sigma, self.device)
        return x / self.xp.sqrt((x * x).mean(axis=(0, 1, 2)))

    @cached_property
    def range(self) -> tuple[Array, Array]:
        """What black and white become at the input, (C, 1, 1, 1) each."""
        one = self.subject.preprocess
        black = np.array(one.shifts, np.float32)[:, None, None, None]
        white = black + 255 * np.array(one.factors, np.float32)[:, None, None, None]
        return self.device.to_device(black), self.device.to_device(white)

    def views(self) -> Views:
        """Where the network looks from at this step."""
        how = self.how
        drawn = [
            (
                rng.integers(-how.jitter, how.jitter + 1, 2),
                rng.uniform(-how.rotate, how.rotate),
                1 + rng.uniform(-how.scale, how.scale),
            )
            for rng in self.chances
        ]
        shifts, angles, scales = zip(*drawn, strict=True)
        return Views(np.stack(shifts), np.array(angles), np.array(scales))

    def slope(self, x: Array, step: int) -> Array:
        """Where to go from x: up the score, down the penalties."""
        how, xp = self.how, self.xp
        view, back = self.views().of(x, self.device)
        y, backward = self.subject.network.forward(view, end=self.goals[0].layer, gradient=True)
        if backward is None:
            raise RuntimeError("a pass with gradients gave none")
        share = (step - 1) / max(how.steps - 1, 1)
        sigma = self.smooth * (1 - (1 - FINEST) * share)
        grad = blurred(back(backward(self.seed(y.shape))), sigma, self.device)
        size = xp.sqrt((grad * grad).mean(axis=(0, 1, 2)))
        grad /= xp.maximum(size, np.float32(_TINY))
        # where nothing answers, as all ReLUs are shut, steps at random until something does
        asleep = (size <= _TINY).astype(np.float32)
        grad += asleep * np.float32(_RANDOM) * self.strokes(sigma)
        grad -= np.float32(2 * how.l2) * x
        if how.tv:
            grad -= np.float32(how.tv) * _variation_slope(xp, x)
        return grad

    def seed(self, shape: Sequence[int]) -> Array:
        """The gradient of all goals' sum at the layer's output."""
        seed = np.zeros(shape, np.float32)
        for n, goal in enumerate(self.goals):
            if len(shape) == 2:
                seed[goal.unit, n] = goal.sign
            elif goal.at is not None:
                seed[goal.unit, goal.at[0], goal.at[1], n] = 1
            else:
                seed[goal.unit, :, :, n] = 1 / (shape[1] * shape[2])
        return self.device.to_device(seed)

    def clipped(self, x: Array) -> Array:
        """Pixels nearest to the mean set to it."""
        norms = self.xp.sqrt((x * x).sum(axis=0))  # (H, W, N)
        flat = self.xp.sort(norms.reshape(-1, norms.shape[-1]), axis=0)
        place = int(self.how.clip_percent / 100 * (len(flat) - 1))
        return x * (norms > flat[place])[None]

    def found(self, pictures: NDArray[np.float32]) -> list[Found]:
        """What the goals give for pictures (T, C, H, W, N), as 8 bits hold them."""
        subject, shape = self.subject, (*pictures.shape[:1], len(self.goals))
        values, shares = np.zeros(shape, np.float32), np.full(shape, np.nan)
        for t, images in enumerate(np.rint(pictures).astype(np.uint8)):
            y, _ = subject.network.forward(subject.inputs(images), end=self.goals[0].layer)
            y = subject.device.to_host(y)
            check_finite(y)
            values[t] = (y * self.device.to_host(self.seed(y.shape))).sum(
                axis=tuple(range(y.ndim - 1))
            )
            if self.goals[0].label:
                every = subject.shares(subject.scores(images))
                shares[t] = [
                    every[subject.class_number(goal.label), n] for n, goal in enumerate(self.goals)
                ]
        return [
            Found(goal, pictures[..., n], values[:, n], shares[:, n])
            for n, goal in enumerate(self.goals)
        ]


def _variation_slope(xp: Array, x: Array) -> Array:
    """The gradient of Σ √(Δdown² + Δright² + ε), the total variation without its kinks.

    References:
        Rudin, Osher, Fatemi 1992, Nonlinear total variation based noise removal algorithms.
    """
    down, right = xp.zeros_like(x), xp.zeros_like(x)
    down[:, :-1] = x[:, 1:] - x[:, :-1]
    right[:, :, :-1] = x[:, :, 1:] - x[:, :, :-1]
    size = xp.sqrt(down * down + right * right + np.float32(0.01))
    down /= size
    right /= size
    slope = -down - right
    slope[:, 1:] += down[:, :-1]
    slope[:, :, 1:] += right[:, :, :-1]
    return slope
