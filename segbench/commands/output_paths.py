"""Places that a user asked to write to: checked before any work is done, and left as they were if none was done."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from segbench.core.errors import ConfigError, DataError
from segbench.core.files import make_folder


@contextlib.contextmanager
def folder_for(path: Path) -> Iterator[Path]:
    """Make a folder to write into; if the work fails with nothing written, the folders made here are taken away again.

    Raises:
        DataError: if the folder cannot be made or written into.
    """
    missing = [one for one in (path, *path.parents) if not _exists(one)]
    try:
        make_folder(path)
        try:
            with tempfile.TemporaryFile(dir=path):
                pass  # some file systems say that they can be written, and then cannot
        except OSError as error:
            raise DataError(f"{path} cannot be written into: {error.strerror}") from None
        yield path
    except BaseException:
        for folder in missing:
            with contextlib.suppress(OSError):  # there is something in it
                folder.rmdir()
        raise


@contextlib.contextmanager
def file_for(path: Path, suffix: str = "") -> Iterator[Path]:
    """Make the folder of a file that is written once the work is done; it goes again where the work fails.

    Raises:
        ConfigError: if the path names a folder, or a file of another kind than `suffix`, such as `.png`.
        DataError: if it cannot be written there.
    """
    absolute = path.absolute()
    if not path.name or (_exists(absolute) and not absolute.is_file()):
        raise ConfigError(f"out={path} is not a file that can be written; give the name of one")
    if suffix and path.suffix.lower() != suffix:
        raise ConfigError(f"out={path} must end in {suffix}")
    with folder_for(absolute.parent):
        yield absolute


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ConfigError(f"{str(path)[:80]}... cannot be written: {error.strerror}") from None
