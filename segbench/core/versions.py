"""Versions of packages that must not be used, found before any of them is imported."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from segbench.core.errors import ConfigError

FLOORS = {
    "torch": ("2.10", "older ones run code from a checkpoint in spite of weights_only (CVE-2026-24747)"),
    "pytorch-lightning": ("2.6.6", "older ones have CVE-2026-58659, and 2.6.2 and 2.6.3 were malware"),
}
"""The least version of a package, and why; the same as in pyproject.toml."""


def check_versions() -> None:
    """Raise a ConfigError for a package below its floor; one that is not installed is found missing elsewhere."""
    for package, (floor, reason) in FLOORS.items():
        try:
            found = version(package)
        except PackageNotFoundError:
            continue
        if _numbers(found) < _numbers(floor):
            raise ConfigError(
                f"{package} {found} must not be used: {reason}; pip install '{package}>={floor}' fixes it"
            )


def _numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: (2, 10, 0) for 2.10.0+cu128."""
    match = re.match(r"\d+(\.\d+)*", text)
    if not match:
        return ()
    return tuple(int(part) for part in match[0].split("."))
