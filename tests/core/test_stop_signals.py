"""Signals before the first step: an exit status each, a second one at once, and none that nohup has switched off."""

import importlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segbench.core import signals
from segbench.core.signals import StoppedError, hold_signals, stop_signals, stopped_by_signals

ROOT = Path(__file__).parents[2]
CASES = [
    (signal.SIGINT, 130, False),
    (signal.SIGTERM, 143, False),
    (signal.SIGHUP, 143, False),
    (signal.SIGUSR1, 143, True),
    (signal.SIGUSR2, 143, True),
]


@pytest.fixture(autouse=True)
def _handlers_back():
    before = {number: signal.getsignal(number) for number, *_ in CASES}
    yield
    signals._held.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code", "requeue"), CASES)
def test_the_first_signal_stops(number, code, requeue):
    before = signal.getsignal(number)
    with pytest.raises(StoppedError) as stopped, stopped_by_signals():
        signal.raise_signal(number)
    assert (stopped.value.exit_code, stopped.value.requeue) == (code, requeue)
    assert signal.getsignal(number) == before


@pytest.mark.parametrize(("number", "code", "requeue"), CASES)
def test_one_that_comes_during_the_imports_is_held(number, code, requeue):
    hold_signals()
    os.kill(os.getpid(), number)
    began = []
    with pytest.raises(StoppedError) as stopped, stopped_by_signals():
        began.append(1)
    assert not began
    assert (stopped.value.exit_code, stopped.value.requeue) == (code, requeue)


def test_an_import_is_finished_first(tmp_path, monkeypatch):
    (tmp_path / "imported_whole.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\ndone = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(StoppedError), stopped_by_signals():
        import_and_wait()
    assert sys.modules.pop("imported_whole").done


def import_and_wait():
    importlib.import_module("imported_whole")
    time.sleep(5)


def test_nohup():
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    assert signal.SIGHUP not in stop_signals()
    with stopped_by_signals():
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_second_one_ends_the_process_at_once():
    code = (
        "import os, signal\nfrom segbench.core.signals import stopped_by_signals\n"
        "with stopped_by_signals():\n"
        "    try:\n        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally:\n        os.kill(os.getpid(), signal.SIGTERM)\n        print('still here')"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


SLOW = """
import importlib, os, signal, sys, time
from segbench.core import signals
signals.SILENT = 0.1
sys.path.insert(0, sys.argv[1])
with signals.stopped_by_signals():
    importlib.import_module("slow_import")
"""


def test_a_long_import_says_that_the_signal_has_come_and_a_second_one_does_not_wait(tmp_path):
    imported = "import os, signal, time\nos.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(0.6)\n"
    (tmp_path / "slow_import.py").write_text(f"{imported}os.kill(os.getpid(), signal.SIGTERM)\ntime.sleep(60)\n")
    command = [sys.executable, "-c", SLOW, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 143
    assert done.stderr == "\nstopping; press again to stop at once\n"
