"""What is used of typer beyond its documented interface; the upper bound in pyproject.toml is for this file."""

from __future__ import annotations

from typing import Any

import typer

UsageError: Any = typer.BadParameter.__base__
"""What typer raises for everything that is wrong with a command line. It has no public name there: it is click's in
some versions and typer's own in others."""
