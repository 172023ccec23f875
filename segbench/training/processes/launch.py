"""The further processes of a data-parallel run: started, watched and ended by the first one.

Each gets the composed configuration on its standard input, so that neither the command line nor a sweep is run again.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from segbench.config.schema import RunConfig
from segbench.core.choices import SPLITS
from segbench.core.errors import ConfigError, DataError, SegbenchError
from segbench.core.states import RunState
from segbench.data.loading.datamodule import SegmentationData
from segbench.runs.folder import RunFolder
from segbench.training.length import Length

FOREIGN = ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE")
"""What is set where another launcher has started several processes already."""

READY = "ready"
"""What a process says once it has its data and its network."""

GRACE = 10.0
"""Seconds in which this process is to notice by itself that another one has failed."""

PATIENCE = 60.0
"""Seconds that the others have to end after the first process, and to say why they failed."""


@dataclass(frozen=True)
class Request:
    """What a further process is told."""

    config: dict[str, Any]
    run: str
    checkpoint: str | None
    rank: int
    port: int
    threads: int
    steps: int
    epochs: int


class PeerError(SegbenchError):
    """A further process ended early; it has the exit status of that one."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Ranks:
    """While entered, the further processes of a run; none with one device.

    Args:
        config: The configuration.
        run: The run folder; what a process says goes to `process-<rank>.log` in it.
        devices: Processes altogether.
        checkpoint: The checkpoint to continue from.
        length: Where the training ends.

    Raises:
        PeerError: if one of the others ended early.
    """

    def __init__(
        self, config: RunConfig, run: RunFolder, devices: int, checkpoint: Path | None, length: Length
    ) -> None:
        self.config, self.run, self.devices = config, run, devices
        self.checkpoint, self.length = checkpoint, length
        self._processes: list[subprocess.Popen[str]] = []
        self._over = threading.Event()

    def __enter__(self) -> Ranks:
        if self.devices > 1:
            port = _free_port()
            join(0, self.devices, port)
            for rank in range(1, self.devices):
                self._processes.append(self._start(rank, port))
            self._await_ready()
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def _await_ready(self) -> None:
        """Meet the others only when all have got so far: one that has failed would be waited for."""
        for rank, process in enumerate(self._processes, 1):
            assert process.stdout is not None
            if READY not in (line.strip() for line in process.stdout):
                try:
                    self._wait(None)
                    raise PeerError(f"process {rank} of {self.devices} ended at once ({self._log(rank)})", 1)
                finally:
                    self._end()

    def _watch(self) -> None:
        """End this process when another has failed and it does not notice: it may wait for that one for minutes.

        Nothing can be raised in a thread that waits within a collective operation, so the process ends at once; its
        checkpoints are as safe as from any kill.
        """
        while not self._over.wait(0.5):
            for rank, process in enumerate(self._processes, 1):
                if process.poll() and not self._over.wait(GRACE):
                    error = self._error(rank, process.returncode)
                    with suppress(OSError):
                        self.run.write_status(RunState.FAILED, error=str(error))
                    os.write(2, f"segbench: {error}\n".encode())
                    for other in self._processes:
                        other.kill()
                    os._exit(error.exit_code)

    def _error(self, rank: int, code: int) -> PeerError:
        said = self._log(rank).read_text(errors="replace").strip().splitlines()
        last = said[-1].removeprefix("segbench: ") if said else "it said nothing"
        message = f"process {rank} of {self.devices} ended with status {code}: {last} ({self._log(rank)})"
        return PeerError(message, code if code > 0 else 1)

    def _start(self, rank: int, port: int) -> subprocess.Popen[str]:
        checkpoint = str(self.checkpoint) if self.checkpoint else None
        request = Request(
            self.config.plain(),
            str(self.run.path.absolute()),
            checkpoint,
            rank,
            port,
            torch.get_num_threads(),
            self.length.steps,
            self.length.epochs,
        )
        environment = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
        environment["PYTHONPATH"] = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        command = [sys.executable, "-m", "segbench.training.processes.worker"]
        with self._log(rank).open("ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment, text=True
            )
        assert process.stdin is not None
        process.stdin.write(json.dumps(asdict(request)))
        process.stdin.close()
        return process

    def _log(self, rank: int) -> Path:
        return self.run.path / f"process-{rank}.log"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.devices == 1:
            return
        try:
            # an error of this process's own ends the others; a broken connection is their error, which is told instead
            if error is None or (isinstance(error, RuntimeError) and not isinstance(error, SegbenchError)):
                self._wait(error)
        finally:
            self._end()

    def _end(self) -> None:
        self._over.set()
        for rank, process in enumerate(self._processes, 1):
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
            if self._log(rank).is_file() and not self._log(rank).stat().st_size:
                self._log(rank).unlink()
        leave()

    def _wait(self, error: BaseException | None) -> None:
        deadline = time.monotonic() + PATIENCE
        for rank, process in enumerate(self._processes, 1):
            try:
                code = process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                continue
            if code:
                raise self._error(rank, code) from error


def check_shares(devices: int, data: SegmentationData) -> None:
    """Refuse what cannot be shared by so many processes: each needs a part of every batch and of every split.

    Raises:
        ConfigError: for a batch size that is no multiple of their number, or processes that something else started.
        DataError: for a split with fewer samples than processes, or of which one would get none.
    """
    _check_alone()
    if data.batch_size % devices:
        raise ConfigError(f"data.batch_size={data.batch_size} cannot be shared by {devices} devices")
    part = data.batch_size // devices
    for split in SPLITS:
        samples = data.num_samples(split)
        if samples < devices:
            raise DataError(f"the {split} split has {samples} samples, fewer than the {devices} processes")
        if samples <= (devices - 1) * part:
            raise DataError(
                f"the {split} split has {samples} samples, too few for {devices} processes that take {part} each: give"
                f" data.batch_size={devices} or more samples"
            )


def _check_alone() -> None:
    several = [name for name in FOREIGN if os.environ.get(name, "1") != "1"]
    if several:
        raise ConfigError(
            f"this process is one of several that something else has started ({several[0]} is set): start one process"
            " and give trainer.devices=N, it starts the others itself"
        )


def join(rank: int, devices: int, port: int) -> None:
    """Tell Lightning, in its words, which process of how many this is."""
    os.environ.update(
        MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), NODE_RANK="0", LOCAL_RANK=str(rank), WORLD_SIZE=str(devices)
    )


def leave() -> None:
    """Undo `join`: the next job of a sweep is on its own."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK", "LOCAL_RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def end_with(parent: int) -> None:
    """End this process as soon as `parent` is gone, however it went: it would wait for it for minutes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
