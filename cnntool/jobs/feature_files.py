"""Feature rows as files: ``.npy`` (n, d), or ``.npz`` with ``features`` (n, d) and ``paths`` (n,).

How many rows there will be is known at the end, and the header comes first. Until then the rows
wait in a nameless file beside the final one, so that memory does not grow with them.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
import zipfile
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cnntool.errors import CnntoolError, InputError
from cnntool.files import WholeFile, system_failure

_BLOCK = 1 << 22
_EPOCH = (1980, 1, 1, 0, 0, 0)  # equal features give equal bytes


class FeatureFile:
    """Takes rows of one length; the file appears, whole, on :meth:`commit`.

    Args:
        path: ``.npy`` or ``.npz``; the suffix chooses the form.
        force: Overwrite an existing file.

    Raises:
        SystemFailure: The system did not take the bytes; nothing is left behind.
        OptionError: The file appeared meanwhile, and ``force`` is off.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "x.npy")
        ...     with FeatureFile(path) as file:
        ...         file.add("a.png", np.array([1, 2, 3], np.float32))
        ...         written = file.commit()
        ...     np.load(path)
        array([[1., 2., 3.]], dtype=float32)
    """

    def __init__(self, path: str, *, force: bool = False) -> None:
        self.path = path
        self._force = force
        self._names: list[str] = []
        self._types: list[np.dtype[np.generic]] = []
        self._length = 0
        try:
            self._rows = self._nameless()
        except OSError as error:
            raise system_failure(path, error) from error

    def add(self, name: str, row: NDArray[np.generic]) -> None:
        """Append a row.

        Args:
            name: Path of its picture.
            row: (d,), d the same for all.

        Raises:
            InputError: It is longer or shorter than the rows before.
        """
        if self._names and row.size != self._length:
            raise InputError(f"gives {row.size} numbers, the rows before have {self._length}")
        self._length = int(row.size)
        row = np.ascontiguousarray(row, row.dtype.newbyteorder("<"))
        try:
            self._rows.write(row.data)
        except OSError as error:
            raise system_failure(self.path, error) from error
        self._names.append(name)
        self._types.append(row.dtype)

    def commit(self) -> bool:
        """Write the file; False, and no file, if there are no rows."""
        if not self._names:
            return False
        try:
            with WholeFile(self.path, force=self._force) as file:
                if self.path.lower().endswith(".npz"):
                    self._write_archive(file)
                else:
                    self._write_matrix(file)
        except CnntoolError:
            raise
        except OSError as error:
            raise system_failure(self.path, error) from error
        return True

    def close(self) -> None:
        """Let go of the rows."""
        self._rows.close()

    def __enter__(self) -> FeatureFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _nameless(self) -> BinaryIO:
        # in the same folder: the disk that the result needs is the disk that is used
        file: BinaryIO = tempfile.TemporaryFile(dir=os.path.dirname(self.path) or ".")
        return file

    def _write_matrix(self, file: WholeFile | BinaryIO) -> None:
        """The .npy file: rows are copied, or converted to the type that holds all of them."""
        dtype = np.result_type(*set(self._types))
        header = io.BytesIO()
        fields = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (len(self._names), self._length),
        }
        np.lib.format.write_array_header_1_0(header, fields)
        file.write(header.getvalue())
        self._rows.seek(0)
        if all(kind == dtype for kind in self._types):
            while block := self._rows.read(_BLOCK):
                file.write(block)
            return
        for kind in self._types:
            row = np.frombuffer(self._rows.read(kind.itemsize * self._length), kind)
            file.write(row.astype(dtype).data)

    def _write_archive(self, file: WholeFile) -> None:
        # lengths and checksums stand before the data, so it is put together in a seekable file
        with self._nameless() as built:
            with zipfile.ZipFile(built, "w", zipfile.ZIP_STORED) as archive:
                with archive.open(_entry("features"), "w", force_zip64=True) as member:
                    self._write_matrix(member)  # type: ignore[arg-type]
                with archive.open(_entry("paths"), "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.array(self._names), allow_pickle=False)
            built.seek(0)
            shutil.copyfileobj(built, file, _BLOCK)


def _entry(name: str) -> zipfile.ZipInfo:
    return zipfile.ZipInfo(f"{name}.npy", _EPOCH)
