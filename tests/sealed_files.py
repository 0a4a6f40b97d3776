"""Files in the layout of safetensors from any header, right or wrong, and seals put on them."""

import hashlib
import struct

SEAL = b'{"__metadata__":{"sha256":"'
FIRST = 8 + len(SEAL)
LAST = FIRST + 64


def raw(header, data=b""):
    """A file of this header, as text or bytes, and these data."""
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + data


def digest(file):
    """What the digits of a sealed file should be."""
    return hashlib.sha256(file[:FIRST] + b"0" * 64 + file[LAST:]).hexdigest().encode()


def sealed(file):
    """``file`` with the right digits; it has a place for them."""
    return file[:FIRST] + digest(file) + file[LAST:]


def raw_sealed(entries, data=b"", metadata=""):
    """A sealed file of these entries of the header, as text, and these data."""
    head = SEAL.decode() + "0" * 64 + '"' + metadata + "}"
    return sealed(raw(head + (f",{entries}" if entries else "") + "}", data))


def flipped(file, bit):
    """``file`` with one bit changed."""
    changed = bytearray(file)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
