"""Asking git about a folder: in bounded time and size, and without anything that a repository could have it run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from threading import Timer

TIMEOUT = 10.0
"""Seconds after which an answer is no longer waited for."""
QUIET = ("--no-pager", "--no-optional-locks", "-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


def ask_git(folder: Path, *arguments: str, limit: int = 1_000_000) -> str | None:
    """Return what a git command prints, its first `limit` bytes as text; None where it fails, or there is no git."""
    # a hook that calls us, or a shell, may point GIT_DIR and the like at another repository
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        process = subprocess.Popen(
            ["git", *QUIET, "-C", str(folder), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except OSError:
        return None
    timer = Timer(TIMEOUT, process.kill)
    timer.start()
    with process:
        assert process.stdout is not None
        content = process.stdout.read(limit + 1)
        if len(content) > limit:
            process.kill()  # nobody reads the rest
    timer.cancel()
    if process.returncode and len(content) <= limit:
        return None
    return content[:limit].decode(errors="replace")
