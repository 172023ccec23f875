"""Runs to export, and the command in this process."""

import pytest

from segbench import cli


@pytest.fixture
def segbench(command):
    """Run the command `segbench`."""
    return lambda *words: command(*map(str, words), entry=cli.main)


@pytest.fixture
def run(made, tiny):
    """A small run on generated pictures."""
    return made("run", *tiny)
