"""The pictures that files, folders and patterns of a command line name, and what their predictions are called."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from segbench.core.errors import ConfigError


@dataclass
class FoundPictures:
    """What was found."""

    files: dict[str, Path] = field(default_factory=dict)
    """Each picture by the path of its prediction within the output folder, without what the names end in."""

    missing: list[str] = field(default_factory=list)
    """A sentence for each word of the command line that names no picture."""


def find_pictures(words: Sequence[str], out: Path) -> FoundPictures:
    """Return the pictures of files, folders with all folders below them, and patterns.

    A folder's tree is kept: `a/b.jpg` of it becomes `a/b`. Where two pictures would have one name, the second has its
    folder's name or a number before or after it. What lies in `out`, within a folder that is searched, is left out.

    Args:
        words: As typed.
        out: The folder that predictions are written into.

    Raises:
        ConfigError: if `out` is itself a folder that is searched: the next call would take predictions for pictures.
    """
    found = FoundPictures()
    seen: set[Path] = set()
    for word in words:
        try:
            pictures = _named_by(word, out) if word else {}
        except (OSError, RuntimeError, ValueError) as error:  # no such user, too long, a folder that is not mine
            found.missing.append(f"{word[:80]}: {getattr(error, 'strerror', None) or error}")
            continue
        if not pictures:
            found.missing.append(
                f"{word}: there is no such picture, folder with pictures or pattern that fits any{_advice(word)}"
            )
        for file, name in pictures.items():
            if file not in seen:
                found.files[_free(name, file, taken=found.files)] = file
                seen.add(file)
    return found


def _advice(word: str) -> str:
    """Return what writes the pictures of a folder of Parquet files; nothing for any other."""
    folder = Path(word).expanduser()
    if not word or not folder.is_dir() or not next(folder.glob("**/*.parquet"), None):
        return ""
    return "; segbench data export data=huggingface data.name=PATH out=DIR writes the pictures of Parquet files"


def _named_by(word: str, out: Path) -> dict[Path, PurePath]:
    """Return the files that a word names, each with the name of its prediction."""
    path = Path(word).expanduser()
    if path.is_dir():
        from segbench.data.files.items import pictures_below

        files = pictures_below(path)
        base = path
    elif path.exists():
        return {path: PurePath(path.stem)}
    else:
        files = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207
        base = _fixed_part(path)
    target = out.expanduser().resolve()
    searched = base.resolve()
    if files and target == searched:
        raise ConfigError(f"--out {out} is where the pictures of {word} lie; give another folder")
    if searched in target.parents:
        files = [file for file in files if target not in file.resolve().parents]
    return {file: file.relative_to(base).with_suffix("") for file in files if not file.is_dir()}


def _fixed_part(pattern: Path) -> Path:
    """Return the folder of a pattern below which all that it fits lies."""
    fixed = pattern.parent
    while glob.has_magic(str(fixed)):
        fixed = fixed.parent
    return fixed


def _free(name: PurePath, file: Path, *, taken: dict[str, Path]) -> str:
    choices = [name, name.with_name(f"{file.parent.name}_{name.name}")]
    choices += [name.with_name(f"{name.name}_{number}") for number in range(2, len(taken) + 3)]
    return next(choice.as_posix() for choice in choices if choice.as_posix() not in taken)
