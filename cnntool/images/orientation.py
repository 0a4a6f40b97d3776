"""Which side of a photo is up: the orientation tag of EXIF, read without trusting the rest of it.

Cameras store rows as the sensor gives them and a number from 1 to 8 beside them. Only that number
is wanted, and a damaged EXIF block must not cost the picture, so anything odd means 1, upright.

Reference:
    CIPA DC-008, Exif 2.32, section 4.6.4 (Orientation), and TIFF 6.0 for the container.
"""

from __future__ import annotations

UPRIGHT = 1
_ORIENTATION = 0x0112
_SIZES = {1: 1, 3: 2, 4: 4}  # BYTE, SHORT, LONG


def orientation(exif: bytes) -> int:
    r"""The orientation in an EXIF block, 1..8; 1 where there is none or it is damaged.

    Args:
        exif: The block, with or without the six bytes ``Exif\0\0`` in front.

    Example:
        >>> orientation(b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0")
        6
    """
    exif = exif.removeprefix(b"Exif\0\0")
    if exif.startswith(b"II*\0"):
        little = True
    elif exif.startswith(b"MM\0*"):
        little = False
    else:
        return UPRIGHT

    def number(start: int, size: int) -> int:
        return int.from_bytes(exif[start : start + size], "little" if little else "big")

    directory = number(4, 4)
    for index in range(number(directory, 2)):
        entry = directory + 2 + 12 * index
        if entry + 12 > len(exif):
            break
        if number(entry, 2) == _ORIENTATION:
            size = _SIZES.get(number(entry + 2, 2), 0)
            value = number(entry + 8, size)
            return value if 1 <= value <= 8 else UPRIGHT
    return UPRIGHT
