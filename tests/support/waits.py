"""Finds what would make a GPU's step wait for the host, without a GPU: on torch's meta device, which has no values.

A number, a count or a place that the host asks of a tensor is an error there by itself. A copy from the host is none,
so that is looked for: one from memory that is not page-locked waits as well.
"""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

MAKERS = (torch.tensor, torch.as_tensor, torch.from_numpy, torch.Tensor.new_tensor)
"""What makes a tensor of numbers of the host."""


class NoCopiesFromHost(TorchFunctionMode):
    """Raises an AssertionError for a tensor of numbers of the host that is made on a device, or sent there."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if func in MAKERS and found.device.type != "cpu":
            raise AssertionError(f"{func.__name__} copies numbers of the host to the device")
        return found


class _NoMoves(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten._to_copy, torch.ops.aten.copy_):
            target = (kwargs or {}).get("device") or args[0].device
            source = args[-1].device
            if source.type == "cpu" and torch.device(target).type != "cpu":
                raise AssertionError(f"{func} copies a tensor of the host to the device")
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def no_waits(monkeypatch: Any) -> Any:
    """Have everything inside raise that would wait for a device; autocast, which knows no meta device, does nothing."""
    with monkeypatch.context() as patch, NoCopiesFromHost(), _NoMoves():
        patch.setattr(torch, "autocast", lambda *where, **how: contextlib.nullcontext())
        yield
