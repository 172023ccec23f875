"""huggingface: a set of the package `datasets` with a column of images and one of masks, on this machine or fetched."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segbench.core.choices import SPLITS, Split, check_word
from segbench.core.errors import ConfigError, DataError, nearest
from segbench.data.files.groups import UNIT
from segbench.data.files.hf_tables import files_of, first_line, has_files, names_of, opened, path_of
from segbench.data.files.items import Item, Splits
from segbench.data.files.masked import MaskedFiles
from segbench.data.files.masks import MODES, MaskReader
from segbench.data.files.pairs import read_image
from segbench.data.files.patterns import ALL_SPLIT_WORDS, split_of
from segbench.data.files.stamps import STAMP, file_stamp, just_changed, settled_stamps
from segbench.data.problems import FileError, Problems
from segbench.data.rasters import Raster

TAKEN_APART = (OSError, ValueError, KeyError, TypeError, NotImplementedError)
"""What the package raises for files that are not what they should be."""

Tables = dict[str, Any]
"""A `datasets.Dataset` for each split of ours; "" where the set has none."""


class HuggingFace(MaskedFiles):
    """Rows of a `datasets` set: their images and masks are read where they lie, as files are.

    Args:
        name: A Parquet file, a folder of them, a folder of `save_to_disk`; or, with `download`, a set's name on
            huggingface.co, such as `owner/set`.
        image: The column of images.
        mask: The column of masks, images as well.
        download: Whether a set of that name may be fetched. Otherwise no other machine is ever asked; a set that has
            been fetched before is found.
        splits: Which split of the set is which of ours, such as `{train: train, test: validation}`; None for the usual
            words.
        group: Which rows belong together: a column, or what `Folder` takes, of the names of images.
        **common: As for all with a mask each: `MaskedFiles`.
    """

    reader: MaskReader

    def __init__(
        self,
        name: str | None = None,
        image: str = "image",
        *,
        mask: str = "label",
        download: bool = False,
        splits: Mapping[str, str] | None = None,
        group: str | None = None,
        **common: Any,
    ) -> None:
        column = None
        if group and re.fullmatch(r"\w+", group):
            column = group
        super().__init__(group=None if column else group, **common)
        self.name = name
        self.columns = (image, mask)
        self.download = download
        self.splits = None if splits is None else dict(splits)
        self.column = column
        self.tables: Tables = {}
        self.cells: dict[tuple[str, str], Any] = {}
        self.beside: set[tuple[str, str]] = set()

    def make_reader(self, masks: str, *, labels: Mapping[object, object] | None, **reading: Any) -> MaskReader:
        """Return the reader of masks of a kind; such a set has no outlines."""
        check_word("data.masks", masks, valid=MODES)
        return MaskReader(masks, self.classes, labels=labels, **reading)

    def place(self) -> str:
        """Return where the data is, for messages; raises a ConfigError if `data.name` is not set."""
        if self.name is None:
            raise ConfigError("data.name is not set; give data.name=PATH, a Parquet file or a folder of datasets")
        return f"data.name={self.name}"

    def find(self, problems: Problems) -> Splits:
        """Return the rows of each split."""
        self.reader.prepare()
        place = self.place()
        assert self.name is not None
        try:
            found = self._by_split(self._opened(self.name))
        except TAKEN_APART as error:
            raise DataError(f"{place}: {first_line(error)}") from None
        self.tables = {split: self._checked(table) for split, table in found.items()}
        self.cells = {(s, c): table.select_columns(c) for s, table in self.tables.items() for c in self.columns}
        self.beside = {place for place, cells in self.cells.items() if has_files(cells, place[1])}
        given = {split: self._items(split, table) for split, table in self.tables.items()}
        return self.divided(given, Path(self.name), problems=problems)

    def _opened(self, name: str) -> Any:
        """Return the tables of the set; what has only just been unpacked is waited for, and opened once more.

        What is found of the rows could not be kept otherwise: a second change might hide in the stamps of new files.
        """
        found = opened(name, self.download)
        tables = found.values() if isinstance(found, dict) else [found]
        files = [path for table in tables for path in files_of(table)]
        if not just_changed(np.array([file_stamp(path) for path in files]).reshape(-1, STAMP), time.time_ns()).any():
            return found
        settled_stamps(files)
        self.began = time.time_ns()
        return opened(name, self.download)

    def _by_split(self, found: Any) -> Tables:
        if not isinstance(found, dict):
            return {"": found}
        wanted = self.splits or {split_of(name): name for name in found if name.lower() in ALL_SPLIT_WORDS}
        missing = [name for name in wanted.values() if name not in found]
        if missing or not set(wanted) <= set(SPLITS) or Split.TRAIN not in wanted:
            raise ValueError(
                f"its splits are {', '.join(found)}; give data.splits={{train:NAME,val:NAME,test:NAME}}, of which val"
                " and test may be missing"
            )
        return {split: found[name] for split, name in wanted.items()}

    def _checked(self, table: Any) -> Any:
        """Return the table with images and masks as they are stored; a ValueError names columns that are not there."""
        from datasets import Image, Value

        for setting, column in zip(("image", "mask"), self.columns, strict=True):
            kind = table.features.get(column)
            if kind is None:
                raise DataError(
                    f"{self.place()}: there is no column data.{setting}={column}{nearest(column, table.column_names)}"
                )
            if kind in (Value("binary"), Value("large_binary")):
                continue
            try:
                if isinstance(kind, Value):
                    raise TypeError("a column of plain values")
                table = table.cast_column(column, Image(decode=False))
            except TAKEN_APART:
                raise DataError(
                    f"{self.place()}: the column data.{setting}={column} holds {kind!s:.80}, no images; save it as a"
                    " datasets.Image, masks as PNG of ids"
                ) from None
        if self.column is not None and self.column not in table.column_names:
            raise DataError(f"{self.place()}: there is no column data.group={self.column}")
        return table

    def _items(self, split: str, table: Any) -> list[Item]:
        groups = None
        if self.column is not None:
            groups = table[self.column]
        names = names_of(table, self.columns[0])
        items = []
        for row, name in enumerate(names):
            units = {}
            if groups is not None:
                units = {UNIT: str(groups[row])}
            place = Path(self.name or "", split, name)
            items.append(Item(f"{split}/{row:07d}", place, (split, row), units))
        return items

    def _content(self, item: Item, column: str) -> bytes:
        split, row = item.label
        cell = self.cells[split, column][row][column]
        if isinstance(cell, bytes):
            return cell
        if cell and cell.get("bytes") is not None:
            content: bytes = cell["bytes"]
            return content
        path = path_of(cell)
        if path is None:
            raise FileError("the row has no {}", detail=column)
        return path.read_bytes()

    def image_bytes(self, item: Item) -> bytes:
        """Return the content of the image."""
        return self._content(item, self.columns[0])

    def label_bytes(self, item: Item) -> bytes:
        """Return the content of the mask."""
        return self._content(item, self.columns[1])

    def read(self, item: Item) -> tuple[Raster, np.ndarray]:
        """Return the picture and the class ids of its mask."""
        try:
            content = self.label_bytes(item)
            mask = self.reader.read(content)
            return read_image(self.image_bytes(item), mask.shape, mask_file=content), mask
        except FileError as error:
            error.file = None  # it has no place of its own
            raise
        except OSError as error:
            raise FileError("the row's file cannot be read: {}", detail=error.strerror or str(error)) from None

    def files_of(self, item: Item) -> list[Path]:
        """Return the file of the row's table, which the package maps into memory, and files that the row names."""
        split, row = item.label
        columns = [column for column in self.columns if (split, column) in self.beside]
        named = [path_of(self.cells[split, column][row][column]) for column in columns]
        return [*self._files(split)[:1], *(path for path in named if path is not None)]

    def shared_files(self) -> list[Path]:
        """Return the files of all tables."""
        return [path for split in self.tables for path in self._files(split)]

    def _files(self, split: str) -> list[Path]:
        return files_of(self.tables[split])

    def image_name(self, split: Split, index: int) -> str:
        """Return the split of the set and the name of the image in it."""
        item = self.items[split][index]
        return "/".join(part for part in (item.label[0], item.image.name) if part)

    def locate_sample(self, split: Split, index: int) -> str:
        """Return the set and the number of the row."""
        source, row = self.items[split][index].label
        return f"row {row} of {source or 'the rows'} in {self.name}"

    def parts(self) -> Sequence[str]:
        """Return the columns."""
        return self.columns
