"""What is wrong with a data set: noted file by file, and told once for all files that have the same problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from segbench.core.errors import DataError
from segbench.core.text import and_more, printable

MOST_GROUPS = 20
"""Different problems that a message tells of."""

MOST_VALUES = 8
"""Values of a mask, or of all masks with the same problem, that a message shows."""

NAMED = 3
"""Names that a message gives of all that have the same problem."""

LONGEST_NAME = 100
NOT_UTF8 = "its name is not text in UTF-8"
RENAME = "rename it"


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file, in words that are the same for every file with this problem."""

    what: str
    """The problem; `{}` stands for what differs from file to file."""

    detail: str = ""
    """What differs, for this file."""

    values: Mapping[str, int] = field(default_factory=dict)
    """What differs, as values of a mask and the pixels of each; those of several files are added up."""

    cure: str = ""
    """What would work; `{}` stands for the values."""

    @property
    def words(self) -> str:
        """The problem with what differs in its place."""
        return self.what.replace("{}", _counted(self.values) if self.values else self.detail, 1)

    @property
    def advice(self) -> str:
        """What would work, after a semicolon; empty where nothing is known."""
        if not self.cure:
            return ""
        return f"; {self.cure.replace('{}', _listed(self.values), 1)}"

    def __str__(self) -> str:
        """Return both as a part of a sentence."""
        return f"{self.words}{self.advice}"


class FileError(DataError):
    """A file that cannot be used."""

    kind = "unreadable"

    def __init__(self, what: str, *, detail: str = "", values: Mapping[str, int] | None = None, cure: str = "") -> None:
        self.fault = Fault(what, detail, values or {}, cure)
        self.file: Path | None = None
        super().__init__(str(self.fault))


class LabelError(FileError):
    """A mask holds values that mean no class."""

    kind = "label"


class SizeMismatch(FileError):
    """An image and its mask have different sizes."""

    kind = "size"


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a data set."""

    kind: str
    """unpaired, unreadable, size, label, duplicate, list or missing; empty where another text says it."""

    fault: Fault
    """What is wrong."""

    name: str = ""
    """What has the problem, such as a file's name; empty for the data set as a whole."""

    among: str = ""
    """What there are several of, and where: `files in images`."""

    def __str__(self) -> str:
        """Return `kind: name: what is wrong`."""
        return ": ".join(part for part in (self.kind, self.name, str(self.fault)) if part)


class Problems(list[Problem]):
    """All that is wrong with a data set.

    Args:
        root: Folder of the data set; places are told from there.
    """

    def __init__(self, root: Path | None = None) -> None:
        super().__init__()
        self.root = root

    def add(self, kind: str, what: str, *, name: str = "", among: str = "", detail: str = "", cure: str = "") -> None:
        """Note a problem of the data set, or of `name`, which is one of several `among` the same."""
        self.append(Problem(kind, Fault(what, detail, cure=cure), shown_name(name), among))

    def add_file(self, kind: str, path: Path, *, what: str | Fault, detail: str = "", cure: str = "") -> None:
        """Note a problem of a file."""
        fault = what if isinstance(what, Fault) else Fault(what, detail, cure=cure)
        self.append(Problem(kind, fault, shown_name(path.name), f"files in {self._place(path.parent)}"))

    def add_error(self, error: DataError, path: Path) -> None:
        """Note why a file cannot be used; `path` is meant where the error names no file."""
        if isinstance(error, FileError):
            self.add_file(error.kind, error.file or path, what=error.fault)
        else:
            self.add_file("unreadable", path, what=str(error))

    def raise_any(self, place: str) -> None:
        """Raise a DataError that tells of them, if there are any."""
        if self:
            raise DataError(f"{place}: {number_of(self)}: {one_line(self)}")

    def _place(self, folder: Path) -> str:
        if self.root is None or not folder.is_relative_to(self.root):
            return shown_name(str(folder))
        return shown_name(folder.relative_to(self.root).as_posix() if folder != self.root else folder.name)


def number_of(problems: Sequence[Problem]) -> str:
    """Return how many problems there are, in words."""
    if len(problems) == 1:
        return "1 problem"
    return f"{len(problems):,} problems"


def one_line(problems: Iterable[Problem]) -> str:
    """Return what is wrong: each problem once, with how many have it, the first three names, and what would work."""
    groups: dict[tuple[str, str, str], list[Problem]] = {}
    for problem in problems:
        groups.setdefault((problem.kind, problem.fault.what, problem.fault.cure), []).append(problem)
    texts = [_told_once(group) for group in groups.values()]
    rest = []
    if len(texts) > MOST_GROUPS:
        rest = [f"and {len(texts) - MOST_GROUPS} more kinds of problem"]
    return "; ".join([*texts[:MOST_GROUPS], *rest])


def first_names(names: Sequence[str]) -> str:
    """Return the first three names and how many more there are."""
    return ", ".join(map(shown_name, names[:NAMED])) + and_more(len(names), NAMED)


def shown_name(name: str) -> str:
    r"""Return a name for a message: bytes that are no UTF-8 as `\xff`, control characters escaped, never too long."""
    text = printable(name)
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[:LONGEST_NAME]}..."


def check_name(path: Path) -> None:
    """Raise a FileError for a name that is not UTF-8: it could not be written into tables and lists."""
    if not is_utf8(path.name):
        raise FileError(NOT_UTF8, cure=RENAME)


def is_utf8(name: str) -> bool:
    """Return whether a file's name is text; Python holds other bytes as surrogates, which cannot be encoded."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _told_once(group: Sequence[Problem]) -> str:
    first = group[0]
    if len(group) == 1 or not first.name:
        return str(first)
    elsewhere = ""
    if len({problem.among for problem in group}) > 1:
        elsewhere = " and elsewhere"
    names = first_names([problem.name for problem in group])
    fault = _added_up([problem.fault for problem in group])
    described = ""
    if len({problem.fault.detail for problem in group}) > 1:
        described = "; the first is described"
    having = f"{len(group):,} {first.among or 'of them'}{elsewhere}: {names}{described}"
    kind = f"{first.kind}: " if first.kind else ""
    return f"{kind}{fault.words} ({having}){fault.advice}"


def _added_up(faults: Sequence[Fault]) -> Fault:
    """Return the first fault, with the values of all."""
    values: Counter[str] = Counter()
    for fault in faults:
        values.update(fault.values)
    return replace(faults[0], values=values)


def _counted(values: Mapping[str, int]) -> str:
    most = Counter(values).most_common(MOST_VALUES)
    named = ", ".join(f"{value} at {pixels:,} pixel{'s' * (pixels != 1)}" for value, pixels in most)
    return named + and_more(len(values), MOST_VALUES)


def _listed(values: Mapping[str, int]) -> str:
    most = Counter(values).most_common(MOST_VALUES)
    return ",".join(value for value, _ in most) + (",..." if len(values) > MOST_VALUES else "")
