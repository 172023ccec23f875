"""What is used of torch beyond its documented interface.

Nothing public names the worker processes of a DataLoader's iterator, which is what tells a worker that has ended from
one that is slow, or ends them before the iterator is forgotten. Nothing public keeps the exporter to ONNX quiet.
"""

from __future__ import annotations

from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from typing import Any

import torch


def workers_of(iterator: Iterator[Any] | None) -> list[BaseProcess]:
    """Return the worker processes of a DataLoader's iterator; none where samples are made in this process."""
    return list(getattr(iterator, "_workers", ()))


def shut_down(iterator: Iterator[Any] | None) -> None:
    """End the worker processes of a DataLoader's iterator in the order that torch needs."""
    if iterator is not None and workers_of(iterator):
        iterator._shutdown_workers()  # type: ignore[attr-defined]


def silence_onnx_log() -> None:
    """Keep the exporter to ONNX from printing the whole graph where it fails."""
    torch._C._jit_set_onnx_log_enabled(False)  # type: ignore[attr-defined]
