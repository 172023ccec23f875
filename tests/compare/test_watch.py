"""`compare --watch` looks again, also where there is nothing yet, and ends with Ctrl-C."""

import io
import signal

import pytest
from rich.console import Console

from segbench.commands import watch as module
from segbench.commands.watch import watch
from segbench.compare.runs import NoRunsError
from segbench.core.errors import ConfigError, Interrupted
from segbench.core.signals import StoppedError


def test_it_looks_again_until_ctrl_c(monkeypatch):
    looks, pauses = [], []

    def show():
        looks.append(1)
        if len(looks) == 1:
            raise NoRunsError("no runs in outputs yet")

    def sleep(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(module.time, "sleep", sleep)
    console = Console(file=io.StringIO(), force_terminal=True)
    watch(show, console)
    assert (len(looks), pauses) == (3, [5.0] * 3)
    assert "no runs in outputs yet" in console.file.getvalue()


def test_another_signal_has_its_own_status(monkeypatch):
    def sleep(seconds):
        raise StoppedError(signal.SIGTERM)

    monkeypatch.setattr(module.time, "sleep", sleep)
    with pytest.raises(Interrupted, match="no longer watched") as stop:
        watch(lambda: None, Console(file=io.StringIO()))
    assert stop.value.exit_code == 143


def test_a_mistake_is_said_at_once():
    def show():
        raise ConfigError("--metric: no run has 'tset/mean_iou'")

    with pytest.raises(ConfigError, match="tset/mean_iou"):
        watch(show, Console(file=io.StringIO(), force_terminal=True))
