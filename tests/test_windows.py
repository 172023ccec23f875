"""Training where the system is Windows, as far as that can be told without one.

The modules, signals and calls that Windows does not have are taken away from Python after torch and Lightning have been
imported (which have releases of their own for Windows); then segbench is imported, and trains, resumes and compares.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

WINDOWS = """
import importlib.abc, os, signal, sys
import torch, pytorch_lightning, torchmetrics, albumentations, matplotlib.pyplot, hydra, rich.console, typer, filelock

MISSING = {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "syslog"}

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

for name in MISSING:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Refuse())
for name in ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGCHLD", "SIGKILL", "SIGALRM", "SIGQUIT", "SIGSTOP",
             "SIGCONT", "SIGTSTP"):
    delattr(signal, name)
# what filelock uses here stays: on Windows it has another lock
for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_DIRECTORY", "fork", "pread", "pwrite", "sched_getaffinity", "getuid",
             "fchmod", "fchown", "mkfifo", "getpgid", "killpg", "setsid", "statvfs"):
    if hasattr(os, name):
        delattr(os, name)

from pytorch_lightning.trainer.connectors import signal_connector
signal_connector._IS_WINDOWS = True

real_open = os.open
def open_file(path, flags, mode=0o777, *, dir_fd=None):
    if not isinstance(path, int) and os.path.isdir(path):
        raise PermissionError(13, "Permission denied", str(path))
    return real_open(path, flags, mode)
os.open = open_file

real_kill = os.kill
def kill(process, number):
    assert number != 0, "on Windows os.kill(process, 0) ends the process"
    real_kill(process, number)
os.kill = kill

real_signal = signal.signal
KNOWN = {signal.SIGINT, signal.SIGTERM, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV}
signal.valid_signals = lambda: set(KNOWN)
def set_handler(number, handler):
    if int(number) not in KNOWN:
        raise ValueError("signal number is not known to Windows")
    return real_signal(number, handler)
signal.signal = set_handler
"""

WORK = """
import pkgutil, segbench
for module in pkgutil.walk_packages(segbench.__path__, "segbench."):
    if not module.name.endswith("__main__"):
        __import__(module.name)
words = sys.argv[1:]
run = segbench.train(*words, "hydra.run.dir=run", quiet=True)
assert run.read_status()["state"] == "completed"
results = run.read_results()
assert results["steps"] == 4 and results["peak_memory_bytes"] is None
run = segbench.resume(run, "trainer.max_epochs=3", quiet=True)
assert run.read_results()["steps"] == 6
assert segbench.compare("run").groups[0].summary.n == 1
found = segbench.load(run)(segbench.losses.base.torch.zeros(8, 8, 3).byte().numpy())
assert found.mask.shape == (8, 8)
from segbench.runs.lock import locked
from segbench.core.errors import InUseError
with locked(run.path):
    try:
        segbench.resume(run, "trainer.max_epochs=4", quiet=True)
    except InUseError as error:
        assert f"in use by process {os.getpid()} on " in str(error), error
    else:
        raise AssertionError("a second process got in")
from segbench.commands.guard import guarded
from segbench.commands.launch import launch
sys.argv = ["train.py"]
guarded(lambda: launch(["-m", *words, "seed=0,1", "hydra.sweep.dir=sweep"]))
"""


def test_a_run_a_resume_a_comparison_and_a_sweep(tmp_path, tiny):
    done = subprocess.run(
        [sys.executable, "-c", WINDOWS + WORK, *tiny, "trainer.max_epochs=2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**__import__("os").environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "sweep" / "summary.csv").read_text().count("completed") == 2
