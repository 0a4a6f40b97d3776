"""Slow and plain versions of what random changes do, for tests."""

import numpy as np
import scipy.ndimage

MODES = {
    "constant": "grid-constant",
    "edge": "nearest",
    "reflect": "mirror",
    "symmetric": "reflect",
    "wrap": "grid-wrap",
}
"""Border -> the word of scipy.ndimage."""


def turned(degrees):
    """Points (down, right) turned counter-clockwise, as one sees it."""
    a = np.radians(degrees)
    # with x to the right and y upwards: x' = x cos a - y sin a, y' = x sin a + y cos a; y = -down
    return homogeneous([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])


def homogeneous(matrix, down=0.0, right=0.0):
    full = np.eye(3)
    full[:2, :2] = matrix
    full[:2, 2] = down, right
    return full


def shifted(down, right):
    return homogeneous(np.eye(2), down, right)


def scaled(down, right=None):
    return homogeneous(np.diag([down, down if right is None else right]))


def sheared(across, down):
    """Rows slide to the right the higher they lie; then, seen from there, columns upwards."""
    rows = homogeneous([[1, 0], [-np.tan(np.radians(across)), 1]])
    columns = homogeneous([[1, -np.tan(np.radians(down))], [0, 1]])
    return columns @ rows


def moved(picture, forward, border="constant", fill=0.0, order=1):
    """One map (H, W) under a map of points counted from the middle, read by SciPy in float64."""
    middle = (np.array(picture.shape) - 1) / 2
    backward = np.linalg.inv(forward)
    matrix, offset = backward[:2, :2], backward[:2, 2]
    return scipy.ndimage.affine_transform(
        np.asarray(picture, np.float64),
        matrix,
        middle - matrix @ middle + offset,
        order=order,
        mode=MODES[border],
        cval=fill,
        prefilter=False,
    )


def each(x, function):
    """``function`` of every map of (C, H, W, N), by picture."""
    return np.stack(
        [
            np.stack([function(x[c, :, :, n], n) for c in range(x.shape[0])])
            for n in range(x.shape[3])
        ],
        axis=-1,
    )
