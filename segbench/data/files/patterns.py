"""Patterns of paths: `leftImg8bit/{split}/{city}/{stem}_leftImg8bit.png` finds files and what their names say."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from segbench.core.choices import Split
from segbench.core.errors import ConfigError

SPLIT_WORDS = {
    Split.TRAIN: ("training", "train"),
    Split.VAL: ("validation", "valid", "val", "dev"),
    Split.TEST: ("testing", "test"),
}
"""What folders and files call the splits; upper and lower case alike."""

ALL_SPLIT_WORDS = tuple(word for words in SPLIT_WORDS.values() for word in words)

TOKEN = re.compile(r"\{(?P<field>[a-z_]+)\}|\{(?P<words>[^{}]*,[^{}]*)\}|(?P<any>\*)|(?P<text>[^{}*]+)|(?P<wrong>.)")
FIELD = re.compile(r"\{([a-z_]+)\}")
FIELDS = {"path": ".+?", "split": f"(?i:{'|'.join(ALL_SPLIT_WORDS)})"}
"""What a field may be that is not just any text without a slash."""

Fields = dict[str, str]


class Pattern:
    """A path below a folder with fields.

    `{name}` is any text within one folder or file name, `{path}` may hold sub-folders as well, `{split}` is one of the
    usual words for a split, `{a,b}` is one of the words, `*` is anything within a name. What the name of a field was
    once, it must be again. Case counts in names, but not in those of folders and after the last dot.

    Args:
        text: The pattern, with `/` between folders.
        setting: The setting that it comes from, for messages.

    Raises:
        ConfigError: for a brace without its other, or a `{path}` that is not in the last part.
    """

    def __init__(self, text: str, setting: str) -> None:
        self.text = text
        parts = text.replace("\\", "/").strip("/").split("/")
        if not all(parts) or any(part in (".", "..") for part in parts):
            raise ConfigError(f"{setting} must be a path below data.root with fields such as {{stem}}, got '{text}'")
        self.fields: list[str] = []
        self._folders = [re.compile(self._regex(part, setting), re.IGNORECASE) for part in parts[:-1]]
        if "path" in self.fields:
            raise ConfigError(f"{setting}='{text}' has {{path}} in a folder's name; it must be in the last part")
        self._file = re.compile(self._regex(parts[-1], setting))
        self.is_deep = "path" in self.fields

    def _regex(self, part: str, setting: str) -> str:
        stem, dot, ending = part.rpartition(".")
        if dot and ending == "*":
            return rf"{self._tokens(stem, setting)}\.[^./]+"
        if dot and re.fullmatch(r"[A-Za-z0-9]+", ending):
            return rf"{self._tokens(stem, setting)}\.(?i:{ending})"
        return self._tokens(part, setting)

    def _tokens(self, part: str, setting: str) -> str:
        found: list[str] = []
        names: set[str] = set()
        for token in TOKEN.finditer(part):
            if token["wrong"]:
                raise ConfigError(f"{setting}='{self.text}' has a brace that is no {{field}} and no {{a,b}}")
            if token["field"]:
                name = token["field"]
                found.append(f"(?P={name})" if name in names else f"(?P<{name}>{FIELDS.get(name, '[^/]+?')})")
                names.add(name)
            elif token["words"] is not None:
                words = sorted((word.strip() for word in token["words"].split(",")), key=len, reverse=True)
                found.append(f"(?:{'|'.join(map(re.escape, words))})")
            else:
                found.append("[^/]*" if token["any"] else re.escape(token["text"]))
        self.fields += [name for name in FIELD.findall(part) if name not in self.fields]
        return "".join(found)

    def find(self, root: Path) -> Iterator[tuple[Fields, Path, str]]:
        """Yield the fields of every file below a folder that the pattern fits, sorted by path.

        With them come a folder that it lies in, the same object for many files, and its path in that, with slashes.
        """
        yield from self._descend(root, 0, fields={})

    def _descend(self, folder: Path, depth: int, *, fields: Fields) -> Iterator[tuple[Fields, Path, str]]:
        if depth == len(self._folders):
            names = _below(folder) if self.is_deep else _names(folder)
            for name in names:
                if (found := _joined(fields, self._file.fullmatch(name))) is not None:
                    yield found, folder, name
            return
        for name in _names(folder):
            found = _joined(fields, self._folders[depth].fullmatch(name))
            if found is not None and (folder / name).is_dir():
                yield from self._descend(folder / name, depth + 1, fields=found)

    def match_end(self, path: str) -> Fields | None:
        """Return the fields of a path whose last parts the pattern fits, as many as it has; None for any other."""
        *folders, name = path.split("/")
        depth = len(self._folders)
        if len(folders) < depth:
            return None
        found: Fields | None = {}
        for regex, part in zip(self._folders, folders[len(folders) - depth :], strict=True):
            found = None if found is None else _joined(found, regex.fullmatch(part))
        if found is None:
            return None
        return _joined(found, self._file.fullmatch(name))

    def fill(self, **fields: str) -> str:
        """Return the pattern with fields replaced, and the first of several words, for messages."""
        text = FIELD.sub(lambda match: fields.get(match[1], match[0]), self.text)
        return re.sub(r"\{([^{},]*),[^{}]*\}", r"\1", text)


def split_of(word: str) -> str:
    """Return train, val or test for one of the words for it."""
    return next(split for split, words in SPLIT_WORDS.items() if word.lower() in words)


def _joined(fields: Fields, match: re.Match[str] | None) -> Fields | None:
    """Return the fields with those of a match; None if there is no match, or a field would be two things."""
    if match is None:
        return None
    found = match.groupdict()
    if "split" in found:
        found["split"] = split_of(found["split"])
    if fields and any(fields.get(name, value) != value for name, value in found.items()):
        return None
    return {**fields, **found} if fields else found


def _names(folder: Path) -> list[str]:
    """Return the names in a folder, sorted; hidden ones are left out."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - no Path for each
    except OSError:
        return []


def _below(folder: Path) -> list[str]:
    """Return the paths of all files below a folder, sorted; hidden files and folders are left out."""
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = os.path.relpath(path, folder).replace(os.sep, "/")
        start = "" if inside == "." else f"{inside}/"
        found += [f"{start}{name}" for name in files if not name.startswith(".")]
    return sorted(found)
