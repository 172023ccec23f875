"""The log of a run, on a disk that may fill up: what cannot be logged any more ends no training."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress


class RunLog(logging.FileHandler):
    """Appends to run.log. A full disk stops the run where something of value is written, not where it is logged."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Leave out a line that the disk does not take; the terminal shows it."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)

    def close(self) -> None:
        """Close the file, with the line or not."""
        with suppress(OSError):
            super().close()
