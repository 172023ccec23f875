"""Large checkpoints are written while the next steps run: a copy of them, where memory has room for one.

Nothing that a checkpoint promises changes: files get their names when they are whole, in the order of their steps, and
what follows one (`latest.json`, `best.ckpt`, the removal of older ones) is done by the same thread once it is there.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from copy import deepcopy
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from segbench.core.memory import available_memory
from segbench.inference.checkpoints import Checkpoint
from segbench.training.checkpoints.storage import save_atomic

LARGE = 64 << 20
"""Bytes from which on a checkpoint is written beside the training; a smaller one takes a tenth of a second."""

ROOM = 2
"""How many times its size has to be free for a copy: what is written while it exists needs memory as well."""

Act = Callable[[], None]
log = logging.getLogger("segbench")
_writing: set[threading.Thread] = set()


class Writer:
    """Writes checkpoints one after another. While entered, it is waited for at the end.

    What fails is raised by whichever method is called next; older checkpoints are untouched by it.
    """

    def __init__(self) -> None:
        self._copied: Act | None = None
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.wait()
        except Exception as failed:
            if error is None:
                raise
            log.warning("%s", failed)

    def save(self, checkpoint: Checkpoint, path: Path) -> None:
        """Write a checkpoint, or copy it for `then`; the one before it is waited for."""
        self.wait()
        size = _bytes(checkpoint)
        if size < LARGE or ROOM * size > available_memory():
            save_atomic(checkpoint, path)
        else:
            self._copied = partial(save_atomic, _copy(checkpoint, {}), path)

    def then(self, act: Act) -> None:
        """Do what follows the checkpoint that was saved last, as soon as its file is there."""
        write = self._copied
        self._copied = None
        if write is None:
            act()
            return
        self._thread = threading.Thread(target=self._work, args=(write, act), name="checkpoint")
        _writing.add(self._thread)
        self._thread.start()

    def check(self) -> None:
        """Raise what has failed since; nothing is waited for."""
        error = self._error
        self._error = None
        if error is not None:
            raise error

    def wait(self) -> None:
        """Wait until everything is written."""
        write = self._copied
        self._copied = None
        if write is not None:  # something came between it and what follows it
            write()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self.check()

    def _work(self, write: Act, act: Act) -> None:
        try:
            write()
            act()
        except Exception as error:
            self._error = error
        finally:
            _writing.discard(threading.current_thread())


def _bytes(value: object) -> int:
    """Return how many bytes the tensors in a checkpoint have."""
    if isinstance(value, Tensor):
        return value.nbytes
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_bytes, value))
    return 0


def _copy(value: Any, copied: dict[Hashable, Tensor]) -> Any:
    """Return a copy in the memory of the host; numbers that several names share are copied once."""
    if isinstance(value, Tensor):
        place = _place(value)
        if place not in copied:
            copied[place] = value.detach().to("cpu", copy=True)
        return copied[place]
    if type(value) in (dict, OrderedDict):
        return type(value)((deepcopy(key), _copy(one, copied)) for key, one in value.items())
    if type(value) in (list, tuple):
        return type(value)(_copy(one, copied) for one in value)
    return deepcopy(value)


def _place(value: Tensor) -> Hashable:
    """Return where the numbers of a tensor lie and how they are read; tied weights have the same."""
    if value.layout is not torch.strided:
        return id(value)
    storage = value.untyped_storage().data_ptr()
    return storage, value.storage_offset(), value.shape, value.stride(), value.dtype, value.device


def _wait_before_fork() -> None:
    """A process that is forked meanwhile would inherit a lock that nobody in it ever opens."""
    for thread in list(_writing):
        if thread is not threading.current_thread():
            thread.join()


if hasattr(os, "register_at_fork"):  # Windows has none
    os.register_at_fork(before=_wait_before_fork)
