"""Files of data sets made by hand, from the text of their formats."""

import gzip
import io
import struct
import zipfile

import numpy as np
from PIL import Image

IDX_TYPES = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}


def idx(array) -> bytes:
    """The IDX file of an array."""
    array = np.asarray(array)
    kind = f"{array.dtype.kind}{array.dtype.itemsize}"
    head = struct.pack(">HBB", 0, IDX_TYPES[kind], array.ndim)
    sizes = b"".join(struct.pack(">I", n) for n in array.shape)
    return head + sizes + array.astype(">" + kind).tobytes()


def write_idx(folder, images, labels, part="train", *, packed=False, prefix=""):
    """A pair of files as MNIST has them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in (("images-idx3", images), ("labels-idx1", labels)):
        data = idx(np.asarray(array, np.uint8))
        path = folder / f"{prefix}{part}-{name}-ubyte{'.gz' if packed else ''}"
        path.write_bytes(gzip.compress(data) if packed else data)


def npy(array, version=1) -> bytes:
    """The .npy file of an array, as the description of the format has it."""
    array = np.asarray(array)
    text = f"{{'descr': {array.dtype.str!r}, 'fortran_order': False, 'shape': {array.shape!r}, }}"
    body = text.encode() + b"\n"
    return (
        b"\x93NUMPY" + bytes([version, 0]) + struct.pack("<H", len(body)) + body + array.tobytes()
    )


def npz(members, compression=zipfile.ZIP_DEFLATED) -> bytes:
    """An archive of members: bytes as they are, arrays as .npy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, value in members.items():
            data = value if isinstance(value, bytes) else npy(value)
            archive.writestr(name if "." in name else name + ".npy", data)
    return buffer.getvalue()


def picture(path, pixels, **options):
    """A picture file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def class_folder(folder, counts, rng, size=(5, 7), channels=0, suffix=".png"):
    """Pictures 1, 2, 3 … of each class; pixels by (class, number)."""
    made = {}
    for name, count in counts.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            shape = (*size, channels) if channels else size
            pixels = rng.integers(0, 256, shape, dtype=np.uint8)
            picture(folder / name / f"{number}{suffix}", pixels)
            made[name, number] = pixels
    return made
