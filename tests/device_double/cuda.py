"""``cupy.cuda`` of the stand-in: one device, whose streams only count waits."""

import types

from device_double.traffic import OutOfMemoryError, traffic


class CUDARuntimeError(RuntimeError):
    def __init__(self, status: int, text: str = "unknown error") -> None:
        super().__init__(text)
        self.status = status


class Device:
    def __init__(self, device: int = 0) -> None:
        if device != 0:
            raise CUDARuntimeError(101, "cudaErrorInvalidDevice: invalid device ordinal")
        self.id = device

    def use(self) -> None:
        """Streams and devices need no switching here."""

    def synchronize(self) -> None:
        traffic.sync()

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        pass


class Stream:
    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        pass

    def synchronize(self) -> None:
        traffic.sync()

    def __enter__(self):
        return self

    def __exit__(self, *exception) -> None:
        pass


Stream.null = Stream()


class MemoryPool:
    def used_bytes(self) -> int:
        return traffic.live_bytes

    def total_bytes(self) -> int:
        return traffic.live_bytes

    def set_limit(self, size: int | None = None, fraction: float | None = None) -> None:
        if size is None:
            raise NotImplementedError("the stand-in has no size of which to take a fraction")
        traffic.limit = size

    def free_all_blocks(self) -> None:
        """Memory that is no longer used was given back at once."""


def is_available() -> bool:
    return True


def get_current_stream() -> Stream:
    return Stream.null


def _properties(device: int) -> dict:
    return {"name": b"Stand-in", "totalGlobalMem": 8 * 2**30, "major": 8, "minor": 6}


memory = types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError)
runtime = types.SimpleNamespace(
    CUDARuntimeError=CUDARuntimeError,
    getDeviceCount=lambda: 1,
    getDeviceProperties=_properties,
    driverGetVersion=lambda: 13000,
    runtimeGetVersion=lambda: 12090,
    is_hip=False,
)
