"""Arrays in .npy files, which many threads open at once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

_headers = threading.Lock()


def open_npy(path: Path) -> np.ndarray:
    """Return the array of a file, read-only and mapped into memory; every error is numpy's own.

    Headers are parsed one after the other: the parser of Python 3.11 counts its depth for all threads together, and now
    and then raises a SystemError where two of them use it (python/cpython#106905).
    """
    with _headers:
        array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    return array
