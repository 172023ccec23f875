"""Settings that name a run: its folder, tags and a note; and the packages that it may use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import PurePosixPath

from segbench.config.values import shown
from segbench.core.errors import ConfigError

LONGEST_NAME = 150
"""Characters of a run's name; most file systems take 255 bytes, and a number may come before it."""

MOST_TAGS = 20
LONGEST_TAG = 40
LONGEST_NOTE = 500
TAG = re.compile(r"[^\s,=!\[\]]+")
"""What `compare --filter tags=one,two` can name."""


def check_name(name: str) -> None:
    """Raise a ConfigError if a run's name is no path of a folder below outputs."""
    path = PurePosixPath(name)
    if not path.name or path.is_absolute() or ".." in path.parts or len(name) > LONGEST_NAME:
        raise ConfigError(
            f"name must be a folder's name of 1 to {LONGEST_NAME} characters, below outputs, got {shown(name)}"
        )


def check_tags(tags: Sequence[object]) -> None:
    """Raise a ConfigError for tags that are no short words."""
    for tag in tags:
        if not isinstance(tag, str) or not TAG.fullmatch(tag) or not tag.isprintable() or len(tag) > LONGEST_TAG:
            raise ConfigError(
                f"tags must be words of 1 to {LONGEST_TAG} characters without spaces and , = ! [ ], such as"
                f" tags=[paper,draft], got {shown(tag)}"
            )
    if len(tags) > MOST_TAGS:
        raise ConfigError(f"a run has at most {MOST_TAGS} tags, got {len(tags)}")


def check_note(note: object) -> None:
    """Raise a ConfigError for a note that is no short line of text."""
    if note is not None and not (isinstance(note, str) and note.isprintable() and len(note) <= LONGEST_NOTE):
        raise ConfigError(f"note must be a line of at most {LONGEST_NOTE} characters, got {shown(note)}")


def check_plugins(plugins: object) -> tuple[str, ...]:
    """Return the plugins; raises a ConfigError where they are no names of packages."""
    if not isinstance(plugins, list | tuple):
        raise ConfigError(f"plugins must be a list such as [mylab], got {shown(plugins)}")
    for name in plugins:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"plugins must be names of packages such as [mylab], got {shown(name)}")
        if not _exists(name):
            raise ConfigError(f"plugins={name}: there is no package of this name; install it, or set PYTHONPATH to it")
    return tuple(plugins)


def _exists(package: str) -> bool:
    """Whether there is a package or module of this name; none is imported, since that would run it."""
    top, *inner = package.split(".")
    found = find_spec(top)
    for part in inner:
        if found is None or found.submodule_search_locations is None:
            return False
        found = PathFinder.find_spec(f"{found.name}.{part}", found.submodule_search_locations)
    return found is not None
