"""The folder of an export: whose it is, what of it is finished, and the step from half to whole.

While an export is unfinished, `.export/` holds its record, a manifest part for each finished chunk and whatever is
still growing. The last step moves the record to `dataset.json` and removes `.export/`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import BaseFileLock, FileLock, Timeout

from segbench.core.errors import ConfigError, DataError
from segbench.core.files import sync_folder, write_json
from segbench.core.plain import Plain
from segbench.data.export.manifest import join_parts
from segbench.data.export.options import Chunk
from segbench.data.export.record import differences

STAGING = ".export"
RECORD = "dataset.json"
MANIFEST = "manifest.parquet"
LOCK = "lock"


class Target:
    """A folder that is, or becomes, an export.

    Args:
        out: The folder; it need not exist.
        record: What the export is: `export_record`.
    """

    def __init__(self, out: Path, record: Mapping[str, object]) -> None:
        self.out = out
        self.staging = out / STAGING
        self.record = record
        self._lock: BaseFileLock | None = None

    def claim(self) -> bool:
        """Make the folder ours and return whether the export in it is complete already.

        Raises:
            ConfigError: if it holds something else, or an export with other settings; nothing is written then.
            DataError: if another process is writing to it.
        """
        found = self._found()
        if found is not None and (changes := differences(found, self.record)):
            raise ConfigError(
                f"out={self.out} holds an export with other settings: {'; '.join(changes)}; give another folder, or"
                " remove this one"
            )
        if (self.out / RECORD).exists():
            shutil.rmtree(self.staging, ignore_errors=True)  # a crash may have come between the last two steps
            return True
        self.staging.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        if found is None:
            write_json(self.staging / RECORD, self.record)
        return False

    def _found(self) -> Plain | None:
        """Return the record in the folder; None for a new, an empty or a barely begun one."""
        if not self.out.exists():
            return None
        if not self.out.is_dir():
            raise ConfigError(f"out={self.out} is a file; give a new or empty folder")
        for path in (self.out / RECORD, self.staging / RECORD):
            if path.is_file():
                try:
                    found = json.loads(path.read_text())
                except ValueError:
                    found = None
                if isinstance(found, dict) and "segbench_export" in found:
                    return found
        if any(item.name != STAGING for item in self.out.iterdir()):
            raise ConfigError(f"out={self.out} is not empty and holds no export; give a new or empty folder")
        return None

    def _take_lock(self) -> None:
        lock = FileLock(self.staging / LOCK, timeout=0)
        try:
            lock.acquire()  # ends with the process, however that ends
        except Timeout:
            raise DataError(f"another process is writing to {self.out}; wait for it, or stop it") from None
        self._lock = lock

    def release(self) -> None:
        """Let another process continue."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    def part(self, chunk: Chunk) -> Path:
        """Return the chunk's part of the manifest, which exists when the chunk is finished."""
        return self.staging / f"{chunk.name}.parquet"

    def finish(self, work: Sequence[Chunk]) -> None:
        """Join the parts of the manifest in the order of `work`, and make the export complete."""
        join_parts([self.part(chunk) for chunk in work], self.staging / MANIFEST)
        for name in (MANIFEST, RECORD):
            (self.staging / name).replace(self.out / name)
            sync_folder(self.out)
        self.release()  # before the file of the lock is removed, as Windows wants it
        shutil.rmtree(self.staging, ignore_errors=True)
