"""The rules of an ascent and their defaults, which were found by trial; nothing here loads NumPy.

With these defaults the pictures that networks for MNIST make of their classes can be read as
digits, and are believed by networks that never saw them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Ascent:
    """How the ascent goes. Lengths are in pixels, strengths relative to the gradient of the score.

    Attributes:
        steps: How many.
        rate: Length of a step, in standard deviations of the network's input.
        l2: λ of the penalty on ‖I‖², which pulls to the mean of the training's pictures.
        tv: Strength of the penalty on total variation, the sum of differences of neighbours.
        smooth: Width of the Gaussian that gradients are smoothed by; it falls to half of that.
            None: 1.5 for 28 pixels, more for larger pictures.
        jitter: How far the picture is moved at random, at most, before the network sees it.
        scale: How much it is enlarged or shrunk at random, at most, as a share.
        rotate: How far it is turned at random, at most, in degrees.
        blur_every: The picture is blurred after so many steps each time; 0: never.
        clip_percent: Percentage of the pixels nearest to the mean that are set to it, each step.
        save_at: Steps whose pictures are kept beside the last.
        seed: Of the noise at the beginning and the moves.
    """

    steps: int = 512
    rate: float = 0.1
    l2: float = 0.25
    tv: float = 0.05
    smooth: float | None = None
    jitter: int = 1
    scale: float = 0.05
    rotate: float = 5.0
    blur_every: int = 0
    clip_percent: float = 0.0
    save_at: tuple[int, ...] = ()
    seed: int = 0

    @property
    def kept(self) -> tuple[int, ...]:
        """Numbers of the steps whose pictures are kept, the last one included."""
        return tuple(sorted({*(step for step in self.save_at if step < self.steps), self.steps}))
