"""`doctor`: whether what is installed can work: versions and their bounds, extras, the device. Torch comes last."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.version import Version
from rich.console import Console
from rich.markup import escape

import segbench
from segbench.config.paths import conf_dir
from segbench.core.errors import ConfigError
from segbench.core.user_cache import VARIABLE, cache_home, size_of
from segbench.core.versions import FLOORS


@dataclass(frozen=True)
class Package:
    """A package that segbench needs, or can use."""

    name: str
    """As it is installed."""

    wanted: str
    """The bounds of its version, such as `>=2.10`; empty for any."""

    extra: str | None
    """The extra that brings it, such as `optuna`; None for one that is always needed."""

    version: str | None
    """What is installed; None where it is missing."""

    @property
    def problem(self) -> str | None:
        """What is wrong with it, in words; None where nothing is."""
        if self.version is None:
            if self.extra:
                return None
            return "missing"
        if Version(self.version) in Requirement(f"{self.name}{self.wanted}").specifier:
            return None
        _, reason = FLOORS.get(self.name, ("", ""))
        return f"must be {self.wanted}" + (f": {reason}" if reason else "")


def run_doctor(console: Console) -> None:
    """Print what is installed and what the device is.

    Args:
        console: Where to print.

    Raises:
        ConfigError: if something is missing or of a version that must not be used, naming what to install.
    """
    _line(console, "segbench", value=segbench.__version__, note=f"settings in {conf_dir()}")
    _line(console, "python", value=platform.python_version(), note=sys.executable)
    _line(console, "system", value=platform.platform(terse=True), note="")
    size, place = _cache()
    _line(console, "cache", value=size, note=place)
    found = list(packages())
    if not found:
        console.print("segbench is not installed, so its bounds are not known; use: pip install -e .")
    for package in found:
        note = package.problem or (f"for the extra {package.extra}" if package.extra else "")
        _line(console, package.name, value=package.version or "-", note=note, bad=package.problem is not None)
    problems = [f"{package.name} {package.version or ''}".strip() for package in found if package.problem]
    if not problems:
        device, note = _device()
        _line(console, "device", value=device, note=note)
        console.print("all is well")
        return
    wanted = " ".join(f"'{package.name}{package.wanted}'" for package in found if package.problem)
    raise ConfigError(f"{', '.join(problems)} cannot be used here; try: pip install {wanted}")


def packages() -> Iterator[Package]:
    """Yield the packages that the installed segbench names, those of its extras after those that it needs."""
    try:
        requirements = [Requirement(line) for line in metadata.requires("segbench") or []]
    except metadata.PackageNotFoundError:
        return
    yield from (_package(requirement, None) for requirement in requirements if _is_needed(requirement))
    for extra in metadata.metadata("segbench").get_all("Provides-Extra") or []:
        if extra in ("test", "docs"):
            continue
        for requirement in requirements:
            if not _is_needed(requirement) and requirement.marker and requirement.marker.evaluate({"extra": extra}):
                yield _package(requirement, extra)


def _is_needed(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def _package(requirement: Requirement, extra: str | None) -> Package:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = None
    return Package(requirement.name, str(requirement.specifier), extra, version)


def _device() -> tuple[str, str]:
    """Return the device that a run takes by default, and what is known about it."""
    try:
        import torch
    except Exception as error:  # a broken installation raises anything, such as an OSError for a library
        raise ConfigError(f"torch is installed but cannot be imported: {' '.join(str(error).split())[:200]}") from None
    if torch.cuda.is_available():
        return "cuda", f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}, CUDA {torch.version.cuda}"
    if torch.backends.mps.is_available():
        return "mps", "Apple GPU"
    return "cpu", f"{torch.get_num_threads()} threads"


def _cache() -> tuple[str, str]:
    """Return how much is kept in the user's cache folder, and where that is."""
    home = cache_home()
    if home is None:
        return "off", f"by {VARIABLE}, or as there is no home"
    return f"{size_of(home) / 1e6:,.1f} MB", f"{home}; {VARIABLE} names another folder, or off"


def _line(console: Console, name: str, *, value: str, note: str, bad: bool = False) -> None:
    style = "red" if bad else "dim"
    console.print(f"{name:<30}{value:<18}[{style}]{escape(note)}[/]", soft_wrap=True, highlight=False)
