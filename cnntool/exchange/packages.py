"""Optional packages of the exchange, imported when they are needed."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from cnntool.errors import MissingPackage


def onnx() -> Any:
    """The package ``onnx`` with its helpers.

    Raises:
        MissingPackage: It is not installed, or does not work.
    """
    try:
        for part in ("checker", "helper", "numpy_helper"):
            importlib.import_module(f"onnx.{part}")
        return importlib.import_module("onnx")
    except ImportError as error:
        raise MissingPackage(
            "ONNX files need the package onnx; pip install 'cnntool[onnx]'"
        ) from error


def has_onnxruntime() -> bool:
    """Whether onnxruntime, which computes ONNX files fast, is installed."""
    return importlib.util.find_spec("onnxruntime") is not None
