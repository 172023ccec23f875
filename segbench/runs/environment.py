"""What a run ran on: versions, machine, git commit. Read from package metadata, so that torch is not imported."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import segbench
from segbench.core.plain import Plain
from segbench.runs.git import ask_git

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "hydra-core",
    "omegaconf",
    "albumentations",
    "numpy",
    "pillow",
    "opencv-python-headless",
)


def versions() -> dict[str, str]:
    """Return the versions of segbench, Python and the packages that numbers depend on."""
    return {"segbench": segbench.__version__, "python": platform.python_version(), **_package_versions()}


@cache
def _package_versions() -> dict[str, str]:
    """They do not change while a process runs."""
    found: dict[str, str] = {}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> Plain:
    """Return the operating system, processor and number of cores."""
    return {
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


@cache
def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def git_commit() -> str | None:
    """Return the commit of the checkout that segbench runs from (`+dirty` with local changes), or None outside one."""
    folder = Path(segbench.__file__).parent
    if not (folder.parent / ".git").exists():
        return None  # installed: a repository further up is not segbench's
    commit = ask_git(folder, "rev-parse", "--short=12", "HEAD")
    if not commit:
        return None
    changed = ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    return commit.strip() + ("+dirty" if changed else "")
