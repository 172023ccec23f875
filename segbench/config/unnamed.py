"""Settings that a class takes through `**kwargs`, without naming them: whether anything asked for them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable, Mapping
from types import CodeType, FrameType, TracebackType
from typing import Any

from segbench.core.plain import Plain


class Unnamed:
    """Watches a class being built, and finds out which of its unnamed keyword arguments nothing asks for.

    One is asked for if a function that was handed all of them has a parameter of that name, or names it in its code
    as in `kwargs.get("name")`. All are where what was built keeps the keyword arguments, or where a function copies
    them instead of handing them on: what becomes of a copy is not followed. Many classes hand theirs on to one of
    several others, so this depends on the other arguments, and no signature says it.

    Args:
        names: The unnamed arguments.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.left = set(names)
        self._kept: list[Plain] = []
        self._handing: set[FrameType] = set()
        self._before: Any = None
        self._is_watching = False

    def __enter__(self) -> Unnamed:
        self._is_watching = bool(self.left)
        if self._is_watching:
            self._before = sys.getprofile()
            sys.setprofile(self._look)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._is_watching:
            return
        if hasattr(self._before, "enable"):  # cProfile is no function that could be set
            sys.setprofile(None)
            self._before.enable()
        else:
            sys.setprofile(self._before)
        self._handing.clear()

    def _look(self, frame: FrameType, event: str, _: object, /) -> None:
        if event == "call":
            self._note_call(frame)
        elif event == "return":
            self._note_copies(frame)

    def _note_call(self, frame: FrameType) -> None:
        code = frame.f_code
        held = _keywords(frame)
        if self.left.intersection(held):
            self._kept.append(held)
            self.left.difference_update(name for name in list(self.left) if name in held and name in code.co_consts)
        caller = frame.f_back
        above = {} if caller is None else _keywords(caller)
        if caller is None or not self.left.intersection(above):
            return
        own = {name: frame.f_locals.get(name) for name in _parameters(code)}
        if _has_all({**held, **own}, above):
            self._handing.add(caller)
            self.left.difference_update(own)
        elif not _is_record(caller) and any(_has_all(value, above) for value in own.values()):
            self.left.difference_update(above)

    def _note_copies(self, frame: FrameType) -> None:
        held = _keywords(frame)
        if not self.left.intersection(held) or frame in self._handing or _is_record(frame):
            return
        values = [value for value in frame.f_locals.values() if value is not held]
        attributes = [one for value in values[:1] for one in getattr(value, "__dict__", {}).values()]
        if any(_has_all(value, held) for value in (*values, *attributes)):
            self.left.difference_update(held)

    def unused_by(self, built: object) -> set[str]:
        """Return the names that nothing asked for while `built` was made."""
        attributes = list(getattr(built, "__dict__", {}).values())
        kept = any(value is held for held in self._kept for value in attributes)
        if kept:
            return set()
        return self.left


def _is_record(frame: FrameType) -> bool:
    """Whether a copy is only kept for later: smp notes all arguments in `__new__`, and the constructor follows."""
    return frame.f_code.co_name == "__new__"


def _has_all(value: object, held: Mapping[str, object]) -> bool:
    return isinstance(value, dict) and all(name in value and value[name] is held[name] for name in held)


def _parameters(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _keywords(frame: FrameType) -> Plain:
    """Return the `**kwargs` of a running function; empty where it has none."""
    code = frame.f_code
    if not code.co_flags & inspect.CO_VARKEYWORDS:
        return {}
    place = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    held = frame.f_locals.get(code.co_varnames[place])
    if isinstance(held, dict):
        return held
    return {}
