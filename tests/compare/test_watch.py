"""`compare --watch` looks again, also where there is nothing yet, and ends with Ctrl-C."""

import io

from rich.console import Console

from segbench.commands import watch as module
from segbench.commands.watch import watch
from segbench.core.errors import ConfigError


def test_it_looks_again_until_ctrl_c(monkeypatch):
    looks, pauses = [], []

    def show():
        looks.append(1)
        if len(looks) == 1:
            raise ConfigError("no runs in outputs yet")

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", sleep)
    console = Console(file=io.StringIO(), force_terminal=True)
    watch(show, console)
    assert (len(looks), pauses) == (3, [5.0] * 3)
    assert "no runs in outputs yet" in console.file.getvalue()
