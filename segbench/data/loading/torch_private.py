"""What is used of torch beyond its documented interface.

Nothing public names the worker processes of a DataLoader's iterator, which is what tells a worker that has ended from
one that is slow, or ends them before the iterator is forgotten. Nothing public keeps the exporter to ONNX quiet.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from typing import Any

import torch

ONNX_LOG = "_jit_onnx_log"
"""By which the exporter to ONNX prints."""


def workers_of(iterator: Iterator[Any] | None) -> list[BaseProcess]:
    """Return the worker processes of a DataLoader's iterator; none where samples are made in this process."""
    return list(getattr(iterator, "_workers", ()))


def shut_down(iterator: Iterator[Any] | None) -> None:
    """End the worker processes of a DataLoader's iterator in the order that torch needs."""
    if iterator is not None and workers_of(iterator):
        iterator._shutdown_workers()  # type: ignore[attr-defined]


@contextmanager
def quiet_onnx_exporter() -> Iterator[None]:
    """Keep the exporter to ONNX from printing the whole graph where it fails, which it does whatever it is told."""
    printing = getattr(torch._C, ONNX_LOG)
    setattr(torch._C, ONNX_LOG, _say_nothing)
    try:
        yield
    finally:
        setattr(torch._C, ONNX_LOG, printing)


def _say_nothing(*words: object) -> None:
    pass
