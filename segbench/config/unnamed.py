"""Settings that a class takes through `**kwargs`, without naming them: whether anything asked for them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from types import CodeType, FrameType, TracebackType
from typing import Any


class Unnamed:
    """Watches a class being built, and finds out which of its unnamed keyword arguments nothing asks for.

    One is asked for if a function that was handed all of them has a parameter of that name, or names it in its code
    as in `kwargs.get("name")`. All are where what was built keeps the keyword arguments for later. Many classes hand
    theirs on to one of several others, so this depends on the other arguments, and no signature says it.

    Args:
        names: The unnamed arguments.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.left = set(names)
        self._kept: list[dict[str, Any]] = []
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

    def _look(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        code = frame.f_code
        held = _keywords(frame)
        if self.left.intersection(held):
            self._kept.append(held)
            self.left.difference_update(name for name in list(self.left) if name in held and name in code.co_consts)
        above = {} if frame.f_back is None else _keywords(frame.f_back)
        if self.left.intersection(above):
            own = {name: frame.f_locals.get(name) for name in _parameters(code)}
            received = {**held, **own}
            if all(name in received and received[name] is value for name, value in above.items()):
                self.left.difference_update(own)

    def unused_by(self, built: object) -> set[str]:
        """Return the names that nothing asked for while `built` was made."""
        attributes = list(getattr(built, "__dict__", {}).values())
        kept = any(value is held for held in self._kept for value in attributes)
        return set() if kept else self.left


def _parameters(code: CodeType) -> tuple[str, ...]:
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _keywords(frame: FrameType) -> dict[str, Any]:
    """Return the `**kwargs` of a running function; empty where it has none."""
    code = frame.f_code
    if not code.co_flags & inspect.CO_VARKEYWORDS:
        return {}
    place = code.co_argcount + code.co_kwonlyargcount + bool(code.co_flags & inspect.CO_VARARGS)
    held = frame.f_locals.get(code.co_varnames[place])
    return held if isinstance(held, dict) else {}


def known_parameters(kind: type) -> list[str]:
    """Return the names of a class's parameters, with those of its bases where it hands others on to them."""
    found: dict[str, None] = {}
    for one in kind.__mro__:
        make = vars(one).get("__init__")
        if make is None:
            continue
        try:
            parameters = list(inspect.signature(make).parameters.values())[1:]
        except (TypeError, ValueError):
            break
        found |= {p.name: None for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return list(found)
