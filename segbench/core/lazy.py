"""Names of a package that are imported when they are first used, so that importing the package itself costs nothing."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy(package: str, places: Mapping[str, str]) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return the `__getattr__` and the `__dir__` of a package whose names live in its modules.

    The type checker cannot follow this: the package also imports the same names under `TYPE_CHECKING`.

    Args:
        package: The package's `__name__`.
        places: The module of each name, relative to the package, such as `{"UNet": "unet"}`; a module's own name stands
            for the module itself, as in `{"losses": "losses"}`.
    """

    def load(name: str) -> object:
        if name not in places:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module = importlib.import_module(f"{package}.{places[name]}")
        value = module if places[name] == name else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def names() -> list[str]:
        return sorted({*vars(sys.modules[package]), *places})

    return load, names
