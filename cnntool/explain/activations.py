"""What every layer makes of a picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from cnntool.explain.subject import Samples, Subject
from cnntool.nn.observer import Recorder
from cnntool.predict.classifier import check_finite


def activations(
    subject: Subject, image: Samples, layer: str | None = None, *, threads: int = 1
) -> Mapping[str, NDArray[np.float32]]:
    """The maps of one layer or of all, for one picture.

    Args:
        subject: The network.
        image: Samples 0..255, (C, H, W).
        layer: Name of the layer; None: all.
        threads: Threads that one operation may use.

    Returns:
        By layer, in the order in which they run: (C', H', W'), or (n,) behind a flatten; float32,
        in main memory.

    Raises:
        NameNotFound: There is no such layer.
        ModelFileError: The network gives numbers that are not finite.

    Example:
        >>> from cnntool.nn import parse
        >>> from cnntool.nn.network import Network
        >>> from cnntool.nn.observed import ObservedNetwork
        >>> from cnntool.nn.saved_model import Preprocessing
        >>> from cnntool.predict.preprocess import Preprocessor
        >>> net = Network(parse("conv 4 3 | flatten | dense 2"), (1, 5, 6))
        >>> net.initialise(seed=1)
        >>> how = Preprocessor(Preprocessing(color="gray", mean=(0.5,), std=(0.5,)), (5, 6))
        >>> subject = Subject(ObservedNetwork(net), how, ("cat", "dog"))
        >>> seen = activations(subject, np.full((1, 5, 6), 200, np.uint8))
        >>> {name: maps.shape for name, maps in seen.items()}
        {'0.conv': (4, 3, 4), '1.flatten': (48,), '2.dense': (2,)}
    """
    names = list(subject.network.rows) if layer is None else [subject.layer(layer).name]
    seen = Recorder(names)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        subject.network.forward(
            subject.inputs(image[..., None]), seen, end=names[-1], threads=threads
        )
    found = {name: subject.device.to_host(seen.outputs[name])[..., 0] for name in names}
    for maps in found.values():
        check_finite(maps)
    return found
