"""The processes of `trainer.devices=N`, started on this machine by torch's own launcher, the one behind torchrun."""

from __future__ import annotations

import json
import logging
import os
import pickle
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from segbench.config.schema import RunConfig
from segbench.core import errors
from segbench.core.errors import CheckpointError, ConfigError, Interrupted, RankError, SegbenchError
from segbench.core.states import RunState
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.lock import is_given_up, locked
from segbench.runs.results import Results
from segbench.training.distributed.watch import GRACE
from segbench.training.signals import StopSignals

BOOT = """
import json, sys
folder = sys.argv[1]
sys.path[:] = json.load(open(folder + "/path.json"))
from segbench.training.distributed.worker import main
main(folder)
"""
"""Modules are found where this process finds them, and what it trains does not travel as a command line."""

QUIET = ("torch.distributed.elastic", "torch.distributed.launcher")
"""Loggers that would say again, at length, what is said in one sentence."""


@dataclass(frozen=True)
class Request:
    """What the first of the processes is asked to do."""

    config: RunConfig
    """The checked configuration."""
    run: Path
    """The run folder."""
    begin: Callable[[RunFolder], None]
    """Makes it."""
    quiet: bool
    """Whether nothing is printed."""
    watch: Callable[[int, float], None] | None
    """Called after every validated epoch."""


def launch(request: Request) -> Results:
    """Start the processes, wait for their end, and return the results.

    Raises:
        ConfigError: for fewer GPUs than processes, and on Windows.
        SegbenchError: of the first process, as if it had been raised here.
        RankError: if one was killed.
    """
    settings = request.config.trainer
    if os.name == "nt":
        raise ConfigError("trainer.devices above 1 needs Linux or macOS: use trainer.devices=1, or WSL")
    with tempfile.TemporaryDirectory(prefix="segbench-", ignore_cleanup_errors=True) as name, locked(Path(name)):
        folder = Path(name)
        (folder / "path.json").write_text(json.dumps([path or str(Path.cwd()) for path in sys.path]))
        (folder / "request").write_bytes(pickle.dumps(request))
        agent = _Agent(folder, settings.devices)
        signals = StopSignals(
            silent=True,
            at_first=lambda number: ask_to_stop(folder, number),
            at_second=lambda: kill_ranks(folder),
        )
        with signals:
            agent.start()
            _wait_for(agent, folder)
        error = _read_error(folder) or agent.failure(settings.devices)
        if error is not None:
            _settle(RunFolder(request.run), error)
            raise error
    return RunFolder(request.run).read_results()


def _settle(run: RunFolder, error: BaseException) -> None:
    """Write down what has ended a run whose first process had no time to do so."""
    with suppress(OSError, CheckpointError):
        if read_json(run.status).get("state") != RunState.RUNNING or not is_given_up(run.path):
            return
        state = RunState.FAILED
        if isinstance(error, Interrupted):
            state = RunState.INTERRUPTED
        run.write_status(state, error=str(error))


def _wait_for(agent: _Agent, folder: Path) -> None:
    """Wait for the end of all processes; those that do not end soon after an error of the first one are killed."""
    since: float | None = None
    while agent.is_alive():
        agent.join(0.2)
        if since is None and (folder / "said").is_file():
            since = time.monotonic()
        if since is not None and time.monotonic() - since > 2 * GRACE:
            kill_ranks(folder)  # one that is frozen would keep torch's agent waiting for half a minute


class _Agent(threading.Thread):
    """torch's agent; in a thread, as it would take the signals of the main one for itself."""

    def __init__(self, folder: Path, devices: int) -> None:
        super().__init__(daemon=True, name="segbench-agent")
        self._folder = folder
        self._devices = devices
        self._error: BaseException | None = None

    def run(self) -> None:
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        for name in list(logging.root.manager.loggerDict):
            if name.startswith(QUIET):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=self._devices,
            run_id=uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=str(self._folder / "logs")),
        )
        python = os.environ.get("PYTHON_EXEC", sys.executable)  # as torchrun does
        try:
            elastic_launch(config, python)("-c", BOOT, str(self._folder))
        except BaseException as error:
            self._error = error
        finally:
            os.environ.pop("TORCHELASTIC_SIGNALS_TO_HANDLE", None)

    def failure(self, size: int) -> BaseException | None:
        """Return the error of a process that could not say itself why it has ended."""
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

        if not isinstance(self._error, ChildFailedError):
            return self._error
        rank, first = self._error.get_first_failure()
        if first.exitcode == -signal.SIGKILL:
            return RankError(killed(rank, size), rank=rank)
        if first.exitcode < 0:
            how = f"signal {-first.exitcode}"
        else:
            how = f"status {first.exitcode}"
        return RankError(f"process {rank} of {size} ended with {how}", max(1, first.exitcode), rank=rank)


def killed(rank: int, size: int) -> str:
    """Return what is said of a process that was killed."""
    return (
        f"process {rank} of {size} was killed, perhaps by the system for want of memory: a smaller data.batch_size or"
        " data.num_workers needs less"
    )


def ask_to_stop(folder: Path, number: int) -> None:
    """Pass a signal to this process on to the first one."""
    (folder / "stop").write_text(str(int(number)))


def kill_ranks(folder: Path) -> None:
    """Kill the processes at once."""
    for path in folder.glob("process-*"):
        with suppress(OSError, ValueError):
            os.kill(int(path.read_text()), signal.SIGKILL)


def write_error(folder: Path, error: BaseException, *, trace: str) -> None:
    """Write down the error of the first process for the one that has started it."""
    found = {
        "kind": type(error).__name__,
        "message": str(error) if isinstance(error, SegbenchError) else trace,
        "code": errors.exit_code_of(error),
        "requeue": getattr(error, "requeue", False),
    }
    temporary = folder / f"said.{os.getpid()}"
    temporary.write_text(json.dumps(found))
    temporary.replace(folder / "said")


def _read_error(folder: Path) -> BaseException | None:
    """Return the error that `write_error` wrote, of the same kind."""
    if not (folder / "said").is_file():
        return None
    found = json.loads((folder / "said").read_text())
    kind = getattr(errors, found["kind"], None)
    if found["kind"] in ("StoppedError", "KeyboardInterrupt"):
        return Interrupted("stopped before the first step; nothing was lost", found["code"], requeue=found["requeue"])
    if found["kind"] == "Interrupted":
        return Interrupted(found["message"], found["code"], requeue=found["requeue"])
    if kind is None:
        return RuntimeError(f"process 0 failed:\n{found['message']}")
    error: SegbenchError = kind(found["message"])
    error.exit_code = found["code"]
    return error
