"""Which pictures belong together, and how a data set is divided so that they stay together."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from segbench.core.choices import Split
from segbench.core.errors import ConfigError, DataError, nearest
from segbench.core.rng import key64
from segbench.data.files.items import Item, Splits, split_by_share
from segbench.data.files.patterns import Pattern
from segbench.data.files.texts import read_text
from segbench.data.problems import Problems, first_names

UNIT = "group"
"""What the factor is called in the tables of images."""

ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9A-Za-z]+")
"""How Roboflow calls the augmented copies of a picture: `name_jpg.rf.HASH.jpg`."""

TABLE = re.compile(r"(.+\.csv):(.+)", re.IGNORECASE)

Groups = Callable[[str], str | None]


@dataclass(frozen=True)
class Division:
    """How pictures are divided into train, val and test where the data itself does not say, or by folds."""

    seed: int
    """`data.seed`: other divisions for other seeds."""

    val_share: float = 0.15
    """Share for val, of all or of what is left beside a test that the data has."""

    test_share: float = 0.15
    """Share for test, where the data has none."""

    group: str | None = None
    """A pattern of the end of a picture's path that has `{group}`, or FILE.csv:COLUMN; None for Roboflow's copies."""

    folds: int | None = None
    """Number of folds; None for shares."""

    fold: int | None = None
    """Which fold is the test, or val where the data has a test of its own."""

    def __post_init__(self) -> None:
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share >= 1:
            raise ConfigError(
                "data.val_share and data.test_share must be at least 0 and together below 1,"
                f" got {self.val_share} and {self.test_share}"
            )
        _check_group(self.group)
        if self.folds is None and self.fold is None:
            return
        if self.folds is None:
            raise ConfigError(f"data.fold={self.fold} needs data.folds, the number of folds")
        if self.folds < 2:
            raise ConfigError(f"data.folds must be at least 2, got {self.folds}")
        if self.fold is None or not 0 <= self.fold < self.folds:
            every = ",".join(map(str, range(self.folds)))
            raise ConfigError(
                f"data.folds={self.folds} needs data.fold from 0 to {self.folds - 1}, got {self.fold}; train.py -m"
                f" data.fold={every} trains all"
            )

    def divide(self, given: Splits, root: Path, *, problems: Problems) -> tuple[Splits, list[str]]:
        """Return train, val and test, and sentences on what was done beyond the settings.

        Args:
            given: What the data itself says: pictures by split, or all under "". A val that it lacks is taken from
                train by share; a test that it lacks stays absent.
            root: The data's folder, from which groups are told.
            problems: Takes note of pictures that are in no group.
        """
        everything = [item for items in given.values() for item in items]
        groups = self._groups(everything, root, problems=problems)
        known = {split: [_in_group(item, groups) for item in items] for split, items in given.items()}
        notes = []
        if groups and self.group is None:
            notes = [self._say_groups(groups)]
        if self.folds is not None:
            return self._by_folds(known), notes
        if "" in known:
            return split_by_share(known[""], self.val_share, test_share=self.test_share, seed=self.seed), notes
        if Split.VAL not in known:
            share = self.val_share
            parts = split_by_share(known[Split.TRAIN], share, test_share=0, seed=self.seed)
            known = {**known, Split.TRAIN: parts[Split.TRAIN], Split.VAL: parts[Split.VAL]}
            notes.append(
                f"the data has no val split: {len(parts[Split.VAL])} of its {len(given[Split.TRAIN])} training pictures"
                f" are val (data.val_share={share:g})"
            )
        return known, notes + _shared_groups(known)

    def _groups(self, items: list[Item], root: Path, *, problems: Problems) -> dict[str, str]:
        """Return the group of each picture by its item's name; empty where there are none."""
        if self.group is None:
            return _copies(items)
        find = _group_finder(self.group, root)
        groups = {}
        for item in items:
            group = find(_place(item, root))
            if group is None:
                problems.add_file("group", item.image, what=f"data.group={self.group} says nothing of it")
            else:
                groups[item.name] = group
        return groups

    def _say_groups(self, groups: dict[str, str]) -> str:
        return (
            f"{len(groups):,} pictures are copies of {len(set(groups.values())):,} sources by their names"
            " (NAME.rf.HASH, Roboflow's augmentation): copies of one source are one group"
        )

    def _by_folds(self, given: Splits) -> Splits:
        assert self.folds is not None
        assert self.fold is not None
        held_out = given.get(Split.TEST)
        pool = [item for split, items in given.items() if split != Split.TEST for item in items]
        if held_out is None and self.folds < 3:
            raise ConfigError(
                f"data.folds={self.folds} leaves nothing to train with, as one is the test and one val; give 3 or more"
            )
        parts = folds_of(pool, self.folds, seed=self.seed)
        chosen = parts.pop(self.fold)
        if held_out is not None:
            return {Split.TRAIN: _by_name(parts), Split.VAL: chosen, Split.TEST: held_out}
        val = parts.pop(self.fold % len(parts))  # the next fold, of the first for the last
        return {Split.TRAIN: _by_name(parts), Split.VAL: val, Split.TEST: chosen}


def _check_group(group: str | None) -> None:
    if group is None or TABLE.fullmatch(group) or "group" in Pattern(group, "data.group").fields:
        return
    raise ConfigError(
        f"data.group must be a pattern with {{group}}, such as patient{{group}}_*, or FILE.csv:COLUMN, got '{group}'"
    )


def folds_of(items: list[Item], folds: int, *, seed: int) -> list[list[Item]]:
    """Return the items in parts of nearly equal size; groups stay whole.

    Large groups are placed first, each into the part that is smallest so far; equal ones in an order that follows from
    their names and the seed.

    Raises:
        DataError: if there are fewer groups than folds.
    """
    sizes = Counter(item.group for item in items)
    if len(sizes) < folds:
        raise DataError(f"data.folds={folds} are more than the {len(sizes)} groups of pictures; give fewer")
    home: dict[str, int] = {}
    filled = [0] * folds
    for group in sorted(sizes, key=lambda name: (-sizes[name], key64("fold", seed, name), name)):
        home[group] = filled.index(min(filled))
        filled[home[group]] += sizes[group]
    return [[item for item in items if home[item.group] == number] for number in range(folds)]


def _by_name(parts: Iterable[list[Item]]) -> list[Item]:
    return sorted((item for part in parts for item in part), key=lambda item: item.name)


def _in_group(item: Item, groups: dict[str, str]) -> Item:
    if item.name not in groups:
        return item
    return replace(item, units={**item.units, UNIT: groups[item.name]})


def _place(item: Item, root: Path) -> str:
    return (item.image.relative_to(root) if item.image.is_relative_to(root) else item.image).as_posix()


def _copies(items: list[Item]) -> dict[str, str]:
    """Return the source of each picture that Roboflow's names call a copy; empty where no source has two."""
    found = {item.name: match[1] for item in items if (match := ROBOFLOW.fullmatch(item.image.stem))}
    if len(set(found.values())) < len(found):
        return found
    return {}


def _group_finder(group: str, root: Path) -> Groups:
    table = TABLE.fullmatch(group)
    if table:
        rows = _read_table(root / table[1], table[2])
        return lambda place: next((rows[key] for key in _keys(place) if key in rows), None)
    pattern = Pattern(group, "data.group")
    return lambda place: (pattern.match_end(place) or {}).get("group")


def _read_table(path: Path, column: str) -> dict[str, str]:
    rows = list(csv.DictReader(read_text(path, "data.group:").splitlines()))
    names = list(rows[0]) if rows else []
    if column not in names:
        raise DataError(f"data.group: {path} has no column '{column}'{nearest(column, names)}")
    found: dict[str, str] = {}
    for row in rows:
        picture = (row[names[0]] or "").strip()
        value = (row[column] or "").strip()
        if found.setdefault(picture, value) != value:
            raise DataError(f"data.group: {path} has two groups for {picture}, '{found[picture]}' and '{value}'")
    return {picture: value for picture, value in found.items() if value}


def _keys(place: str) -> Iterable[str]:
    """Yield what a table may call a picture: its path, its name, each with and without what follows the last dot."""
    for name in (place, place.rpartition("/")[2]):
        yield name
        yield name.rpartition(".")[0] or name


def _shared_groups(splits: Splits) -> list[str]:
    """Return a sentence for groups that the data's own split tears apart."""
    homes: dict[str, set[str]] = {}
    for split, items in splits.items():
        for item in items:
            if UNIT in item.units:
                homes.setdefault(item.group, set()).add(split)
    torn = sorted(group for group, found in homes.items() if len(found) > 1)
    if not torn:
        return []
    return [
        f"{len(torn):,} of {len(homes):,} groups are in more than one split of the data, which flatters the scores:"
        f" {first_names(torn)}"
    ]
