"""A strict stand-in for CuPy, backed by NumPy, for machines without a GPU.

- It has only the names, and takes only the arguments, that the real package has: they were captured
  from it into ``golden/cupy_surface.json``.
- An array lives "on the device": NumPy never sees its memory. Implicit conversion and mixing of
  host and device arrays raise what CuPy raises.
- Copies between host and device, hidden waits, atomic additions and float64 results are counted
  in ``traffic``.

Where CuPy is silently lenient (``xp.sum(host_array)`` computes on the host, an index out of range
wraps around, duplicates in ``a[index] = v`` give any of the values), the stand-in raises: code
under test must never rely on those. Its numbers are NumPy's: rounding, order of sums, speed and the
order of asynchronous work on a card are not shown. Kernels written in CUDA are not run.

Import it as ``device_double``, never as ``tests.device_double``: a second copy has counters of its
own.
"""

from device_double.array import DeviceArray
from device_double.library import fake
from device_double.traffic import OutOfMemoryError, no_transfers, traffic

__all__ = ["DeviceArray", "OutOfMemoryError", "fake", "no_transfers", "traffic"]
