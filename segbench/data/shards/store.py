"""Reading runs of bytes from where the shards lie: a folder of this machine, or storage that fsspec knows."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock

from segbench.core.errors import ConfigError
from segbench.core.files import replacing

SWEEP_EVERY = 32
"""Runs that a process fetches between two looks at how much the cache holds."""


class Store(Protocol):
    """Where files lie, by their names below a root."""

    def whole(self, name: str) -> bytes:
        """Return the content of a small file; raises an OSError."""
        ...

    def size(self, name: str) -> int:
        """Return the bytes of a file; raises an OSError."""
        ...

    def part(self, name: str, *, start: int, stop: int, run: tuple[int, int]) -> bytes:
        """Return the bytes from `start` to `stop` of a file; raises an OSError.

        Args:
            name: The file.
            start: The first byte.
            stop: The byte after the last.
            run: First byte and end of the run of bytes around it that will be read as well.
        """
        ...


def open_store(root: str, *, cache: str | None, cache_gb: float, options: Mapping[str, object]) -> Store:
    """Return the store at `root`.

    Args:
        root: A folder, or an address with a protocol that fsspec knows, such as `s3://bucket/folder`.
        cache: Folder for what was fetched from another machine; None for one that goes with the process.
        cache_gb: Most gigabytes in it.
        options: Options of fsspec's file system, such as `endpoint_url`.

    Raises:
        ConfigError: for a protocol that is unknown, or whose package is not installed.
    """
    protocol, separator, path = root.partition("://")
    if not separator or protocol in ("file", "local"):
        return LocalStore(Path(path or root).expanduser())
    import fsspec

    try:
        fsspec.get_filesystem_class(protocol)
    except (ImportError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"data.root={root} cannot be read: {reason}") from None
    return RemoteStore(root.rstrip("/"), cache=cache, cache_gb=cache_gb, options=options)


class LocalStore:
    """A folder of this machine. The system keeps what was read lately, for all processes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def whole(self, name: str) -> bytes:
        """Return the content of a file."""
        return (self.root / name).read_bytes()

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        return (self.root / name).stat().st_size

    def part(self, name: str, *, start: int, stop: int, run: tuple[int, int]) -> bytes:
        """Return some bytes of a file."""
        return _read(self.root / name, start=start, stop=stop)


class RemoteStore:
    """Files of another machine, fetched by runs of bytes into a folder that the processes of this one share.

    Args:
        root: The address.
        cache: The folder; None for a temporary one.
        cache_gb: Most gigabytes in it; the runs that were fetched first are removed first.
        options: Options of fsspec's file system.
    """

    def __init__(self, root: str, *, cache: str | None, cache_gb: float, options: Mapping[str, object]) -> None:
        self.root = root
        self.options = dict(options)
        self.limit = int(cache_gb * 1e9)
        self.cache = Path(cache).expanduser() if cache else Path(tempfile.mkdtemp(prefix="segbench-shards-"))
        self.cache.mkdir(parents=True, exist_ok=True)
        if cache is None:
            weakref.finalize(self, _remove, self.cache, os.getpid())
        self._fetched = 0

    def _file_system(self) -> Any:
        """Return fsspec's file system of this process: its connections do not survive a fork."""
        import fsspec

        return fsspec.core.url_to_fs(self.root, **self.options)[0]

    def _address(self, name: str) -> str:
        return f"{self.root}/{name}"

    def whole(self, name: str) -> bytes:
        """Return the content of a small file, fetched anew."""
        content: bytes = self._file_system().cat_file(self._address(name))
        return content

    def size(self, name: str) -> int:
        """Return the bytes of a file."""
        size = self._file_system().size(self._address(name))
        if size is None:
            raise OSError(f"the size of {self._address(name)} is not known there")
        return int(size)

    def part(self, name: str, *, start: int, stop: int, run: tuple[int, int]) -> bytes:
        """Return some bytes of a file; the whole run is fetched where it is not in the cache."""
        first, end = run
        path = self.cache / f"{name.replace('/', '+')}.{first}-{end}"
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                return _read(path, start=start - first, stop=stop - first)
            self._fetch(name, run=run, path=path)  # another process may remove it again before it is read
        return self._bytes(name, run)[start - first : stop - first]

    def _fetch(self, name: str, *, run: tuple[int, int], path: Path) -> None:
        with FileLock(path.with_name(path.name + ".lock")):
            if not path.exists():
                content = self._bytes(name, run)
                with replacing(path) as file:
                    file.write(content)
        self._fetched += 1
        if self._fetched % SWEEP_EVERY == 0:
            self._sweep()

    def _bytes(self, name: str, run: tuple[int, int]) -> bytes:
        content: bytes = self._file_system().cat_file(self._address(name), start=run[0], end=run[1])
        if len(content) != run[1] - run[0]:
            raise EOFError(f"{self._address(name)} ends before byte {run[1]:,}")
        return content

    def _sweep(self) -> None:
        """Remove the runs that were fetched first while the folder holds more than it may."""
        found = []
        for entry in os.scandir(self.cache):
            with contextlib.suppress(FileNotFoundError):
                facts = entry.stat()
                found.append((facts.st_mtime_ns, facts.st_size, Path(entry.path)))
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= self.limit:
                return
            path.unlink(missing_ok=True)
            held -= size


def _read(path: Path, *, start: int, stop: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        content = file.read(stop - start)
    if len(content) != stop - start:
        raise EOFError(f"{path} ends before byte {stop:,}")
    return content


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker takes nothing from the others
        shutil.rmtree(folder, ignore_errors=True)
