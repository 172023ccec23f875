"""What ran: every installed package, and the code of the repositories that it may have come from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import segbench
from segbench.core.errors import CheckpointError
from segbench.core.plain import Plain
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.git import ask_git

MAX_DIFFERENCE = 200_000
"""Bytes of a repository's uncommitted changes that are kept."""
MAX_UNTRACKED = 200
"""Names of untracked files and folders that are kept."""
SHARED = "environment.json"
"""Where a sweep keeps what is the same for its jobs, beside their folders."""
KEPT = ("packages", "sources")


def provenance(plugins: Sequence[str]) -> Plain:
    """Return `packages`, the version of each one installed, and `sources`, as `describe_repositories`."""
    return {"packages": packages(), "sources": describe_repositories(_code_folders(plugins))}


def provenance_of_run(run: RunFolder, plugins: Sequence[str]) -> Plain:
    """Return what environment.json says of what runs now.

    A job of a sweep that runs the same as the sweep's own record only refers to it. What an earlier session ran with,
    where it was something else, is kept in `earlier`.
    """
    now = provenance(plugins)
    before = _recorded(run.environment)
    shared = _recorded(run.path.parent / SHARED)
    known = before.get("earlier")
    earlier = list(known) if isinstance(known, list) else []
    last = shared if "provenance" in before else before
    if any(last.get(name, now[name]) != now[name] for name in KEPT):
        earlier.append({name: last.get(name) for name in KEPT})
    said = dict(now)
    if all(shared.get(name) == now[name] for name in KEPT):
        said = {"provenance": f"../{SHARED}"}
    if earlier:
        said["earlier"] = earlier
    return said


def _recorded(path: Path) -> Mapping[str, object]:
    with suppress(CheckpointError):
        if not path.is_file():
            return {}
        return read_json(path)
    return {}


@cache
def packages() -> dict[str, str]:
    """Return the version of every installed package by its name; they do not change while a process runs."""
    found: dict[str, str] = {}
    for package in metadata.distributions():
        head = _head(package.read_text("METADATA") or package.read_text("PKG-INFO") or "")
        if "Name" in head and "Version" in head:
            found.setdefault(head["Name"], head["Version"])  # the first on the path is what an import finds
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _head(text: str) -> dict[str, str]:
    """Return name and version alone: parsing the metadata of all packages as messages takes half a second."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(": ")
        if colon and key in ("Name", "Version"):
            found[key] = value.strip()
        if len(found) == 2 or not line:
            break
    return found


def _code_folders(plugins: Sequence[str]) -> dict[str, Path]:
    """Return where the code of each part lies, but for installed packages: their version says what they are."""
    folders = {"working folder": Path.cwd()}
    project = Path(segbench.__file__).parent
    if (project.parent / ".git").exists():  # installed: a repository further up is not segbench's
        folders["segbench"] = project
    for plugin in plugins:
        with suppress(ImportError, ValueError):
            spec = find_spec(plugin.partition(".")[0])
            places = []
            if spec:
                places = [*(spec.submodule_search_locations or ()), spec.origin]
            if places and places[0] and not {"site-packages", "dist-packages"} & {*Path(places[0]).parts}:
                place = Path(places[0])
                folders[plugin] = place if place.is_dir() else place.parent
    return folders


def describe_repositories(folders: Mapping[str, Path]) -> list[Plain]:
    """Return the state of each git repository that one of the folders lies in.

    Args:
        folders: By what they are, such as `segbench` or a plugin's name.

    Returns:
        For each: `of` (what lies in it), `folder`, `commit` (None before the first), `difference` (the uncommitted
        changes of tracked files as text, the first 200 kB), whether it is `cut`, and `untracked`: names of files and
        folders that git does not know, never their content, which may be secret.
    """
    found: dict[str, list[str]] = {}
    for what, folder in folders.items():
        root = ask_git(folder, "rev-parse", "--show-toplevel")
        if root:
            found.setdefault(root.strip(), []).append(what)
    return [{"of": names, "folder": root, **_state(Path(root))} for root, names in found.items()]


def _state(root: Path) -> Plain:
    commit = ask_git(root, "rev-parse", "HEAD")
    flags = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=dirty")
    difference = ask_git(root, "diff", *flags, "HEAD", "--", limit=MAX_DIFFERENCE + 1) or ""
    listed = ask_git(root, "ls-files", "--others", "--exclude-standard", "--directory", "-z") or ""
    untracked = sorted(name for name in listed.split("\0") if name)
    return {
        "commit": commit.strip() if commit else None,
        "difference": difference[:MAX_DIFFERENCE],
        "cut": len(difference) > MAX_DIFFERENCE or len(untracked) > MAX_UNTRACKED,
        "untracked": untracked[:MAX_UNTRACKED],
    }
