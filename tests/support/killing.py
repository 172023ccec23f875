"""Real processes of train.py that are really killed, and the comparison of what comes of it.

A process is made to stand still at one of POINTS, which a `sitecustomize.py` on its PYTHONPATH sees to, so that a kill
is certain to come there. `tests.support.torture` and tests/resume use this file.
"""

from __future__ import annotations

import fnmatch
import functools
import importlib
import io
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tests.support.warm import start as start_warm

ROOT = Path(__file__).parents[2]
PAUSE = "SEGBENCH_TORTURE_PAUSE"
Words = Sequence[str]

REPLACE = "pathlib:Path.replace"
POINTS = {
    "settings are not written yet": (REPLACE, "config.yaml"),
    "folders are not made yet": ("segbench.runs.folder:RunFolder.create", "*"),
    "status is not written yet": (REPLACE, "status.json"),
    "environment is not written yet": (REPLACE, "environment.json"),
    "step": ("segbench.training.module:SegmentationModule.training_step", "*"),
    "step is done": ("segbench.training.callbacks.recorder:Recorder.on_train_batch_end", "*"),
    "validation": ("segbench.training.module:SegmentationModule.validation_step", "*"),
    "validation is done": ("segbench.training.callbacks.recorder:Recorder.on_train_epoch_end", "*"),
    "checkpoint is half written": ("torch:save", "*"),
    "checkpoint has no name yet": (REPLACE, "step-*.ckpt"),
    "checkpoint is not the latest yet": ("segbench.training.callbacks.checkpointer:point_to", "*"),
    "best is not linked yet": (REPLACE, "best.ckpt"),
    "test": ("segbench.training.module:SegmentationModule.test_step", "*"),
    "results are not written yet": (REPLACE, "results.json"),
    "plots are not drawn yet": ("segbench.training.run:draw_curves", "*"),
}
"""Where a process can be made to stand still: before a call of a function, whose last argument names such a file."""

EARLY = [*itertools.islice(POINTS, 4)]
"""Points before the first step."""

STEPS = "checkpoints/step-*.ckpt"
CLOCK = {"seconds", "cpu_seconds", "images", "train_seconds", "images_per_second", "peak_memory_bytes", "resumes"}
"""What no two runs share of results.json and of checkpoints: it is of the clock, of the last process, or of resumes."""
ABOUT = (
    "run.log",
    "command.txt",
    "environment.json",
    "config.yaml",
    "status.json",
    "checkpoints/latest.json",
    ".lock",
    ".hydra/*",
)
"""Files that tell how a run was made, not what came of it."""


def obey() -> None:
    """In a child: stand still before the wanted call, until the parent removes the marker or kills."""
    if PAUSE not in os.environ:
        return
    point, wanted, marker = json.loads(os.environ[PAUSE])
    place, files = POINTS[point]
    module, _, dotted = place.partition(":")
    *parents, name = dotted.split(".")
    owner = functools.reduce(getattr, parents, importlib.import_module(module))
    original, calls = getattr(owner, name), itertools.count(1)

    @functools.wraps(original)
    def standing(*args: Any, **kwargs: Any) -> Any:
        if (files == "*" or fnmatch.fnmatch(Path(args[-1]).name, files)) and next(calls) == wanted:
            if place == "torch:save":
                _write_half(original, *args)
            _stand_still(Path(marker))
        return original(*args, **kwargs)

    setattr(owner, name, standing)


def _write_half(save: Callable[..., None], content: Any, file: Any) -> None:
    whole = io.BytesIO()
    save(content, whole)
    file.write(whole.getvalue()[: whole.tell() // 2])
    file.flush()


def _stand_still(marker: Path) -> None:
    parent = os.getppid()
    marker.touch()
    while marker.exists():
        time.sleep(0.01)
        if os.getppid() != parent:
            os._exit(97)


def start_cold(
    words: Words, *, cwd: Path, env: Mapping[str, str], stdout: IO[Any], stderr: IO[Any]
) -> subprocess.Popen[bytes]:
    """Start a Python file with arguments as a new Python, in a session of its own."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": stdout, "stderr": stderr}
    return subprocess.Popen([sys.executable, *words], cwd=cwd, env=env, start_new_session=True, **streams)


class Child:
    """A process of train.py with its workers; leaving the `with` block kills what is left of it.

    Args:
        words: Its command line.
        log: Where its output goes.
        point: One of POINTS, to stand still at; None for nowhere.
        count: Before which call, from 1.
        environment: Variables beside this process's own.
        warm: Begin with torch imported; else as a new Python.
    """

    def __init__(
        self,
        words: Words,
        log: Path,
        *,
        point: str | None = None,
        count: int = 1,
        environment: Mapping[str, str] = {},
        warm: bool = True,
    ) -> None:
        self.log, self.marker = log, log.with_suffix(".here")
        hooks = log.parent / "hooks"
        hooks.mkdir(parents=True, exist_ok=True)
        (hooks / "sitecustomize.py").write_text("from tests.support import killing\n\nkilling.obey()\n")
        paths = [str(hooks), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        self.temporary = Path(tempfile.mkdtemp(prefix="kill-"))  # short: loader workers have sockets below it
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(self.temporary), **environment}
        variables.pop("HYDRA_FULL_ERROR", None)  # a process is to end as a person sees it
        if point is not None:
            variables[PAUSE] = json.dumps([point, count, str(self.marker)])
        start = start_warm if warm else start_cold
        with log.open("w") as out:
            self.process = start(
                [str(ROOT / "train.py"), *words], cwd=log.parent, env=variables, stdout=out, stderr=out
            )

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)

    def arrives(self, until: Callable[[], bool] | None = None) -> bool:
        """Wait until the process stands still, or `until` is true; False if it ended before."""
        reached = until or self.marker.exists
        while self.process.poll() is None and not reached():
            time.sleep(0.01)
        return self.process.poll() is None

    def release(self) -> None:
        """Let a process that stands still go on."""
        self.marker.unlink()

    def signal(self, number: int) -> None:
        """Send a signal to the process alone, as a scheduler does."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the process and its workers, and wait for its end."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.marker.unlink(missing_ok=True)

    def kill_rank(self, rank: int) -> None:
        """Kill one of the processes that `trainer.devices=N` has started, and wait until the others have ended."""
        for file in self.temporary.glob(f"segbench-*/process-{rank}"):
            os.kill(int(file.read_text()), signal.SIGKILL)
        self.process.wait()

    def ends(self) -> int:
        """Wait for the process and return its exit status, negative for a signal."""
        return self.process.wait()

    def said(self) -> str:
        """Return the end of its output."""
        return self.log.read_text(errors="replace")[-3000:]


@dataclass
class Run:
    """A run folder, and the processes that train in it one after the other.

    Where its settings are in the folder, it is continued by `resume=` and by the command that started it in turns; else
    by that command, as nothing else knows them.
    """

    folder: Path
    """Of the run, in a folder of its own for logs."""
    words: Words
    """Its settings."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of its processes."""
    started: int = 0
    """How many processes there were."""
    warm: bool = True
    """Whether they begin with torch imported; the hash seed is then the same in all of them."""

    place = "hydra.run.dir"
    settings = "config.yaml"

    def start(self, *more: str, point: str | None = None, count: int = 1) -> Child:
        """Start the run, or go on with whatever is there of it."""
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.started += 1
        known = (self.folder / self.settings).is_file()
        words = [f"resume={self.folder}", *more]
        if not known or self.started % 3 == 0:
            words = [*self.words, *more, f"{self.place}='{self.folder}'"]
        log = self.folder.with_name(f"{self.folder.name}-{self.started}.log")
        return Child(words, log, point=point, count=count, environment=self.environment, warm=self.warm)

    def killed_at(self, point: str, count: int = 1, *more: str, rank: int | None = None) -> bool:
        """Start or resume, and kill before the `count`-th call of a point; False if the process ended before.

        With `rank`, one of the processes of several devices is killed, instead of the one that started them.
        """
        with self.start(*more, point=point, count=count) as child:
            arrived = child.arrives()
            if arrived and rank is not None:
                child.kill_rank(rank)
            return arrived or self._ended_well(child)

    def killed_after(self, seconds: float, *more: str) -> bool:
        """Start or resume, and kill some seconds after the first new row in its table; False if it ended before."""
        table = self.folder / "metrics.csv"
        with self.start(*more) as child:
            before = table.stat().st_size if table.is_file() else 200  # more than the header
            child.arrives(lambda: table.is_file() and table.stat().st_size > before)
            time.sleep(seconds)
            return child.process.poll() is None or self._ended_well(child)

    def killed_young(self, seconds: float, *more: str) -> bool:
        """Start or resume, and kill some seconds after there is anything in its folder; False if it ended before."""
        with self.start(*more) as child:
            child.arrives(lambda: self.folder.is_dir() and any(self.folder.iterdir()))
            time.sleep(seconds)
            return child.process.poll() is None or self._ended_well(child)

    def finish(self, *more: str) -> None:
        """Start or resume, and wait for the end; a RuntimeError holds the output of a process that fails."""
        with self.start(*more) as child:
            self._ended_well(child)

    def _ended_well(self, child: Child) -> bool:
        if child.ends() != 0:
            raise RuntimeError(f"exit status {child.ends()} of {child.log}: {child.said()}")
        return False


class Sweep(Run):
    """The folder of a sweep, likewise; `resume=` alone continues what has a plan."""

    place = "hydra.sweep.dir"
    settings = "sweep.json"

    def start(self, *more: str, point: str | None = None, count: int = 1) -> Child:
        """Start the sweep, or go on with whatever is there of it; its settings cannot be changed in between."""
        return super().start(point=point, count=count)


def differences_of_sweeps(reference: Path, other: Path) -> Iterator[str]:
    """Yield in words everything in which the outcome of two sweeps differs, job by job."""
    jobs = [{path.parent.name for path in sweep.glob("*/status.json")} for sweep in (reference, other)]
    if jobs[0] != jobs[1]:
        yield f"jobs: {sorted(jobs[0] ^ jobs[1])} only in one"
    for job in sorted(jobs[0] & jobs[1]):
        yield from (f"{job}/{found}" for found in differences(reference / job, other / job))
    if (reference / "summary.csv").read_bytes() != (other / "summary.csv").read_bytes():
        yield "summary.csv"


def differences(reference: Path, other: Path) -> Iterator[str]:
    """Yield in words everything in which the outcome of two run folders differs, however little."""
    files = [_outcome(run) for run in (reference, other)]
    newest = [max(fnmatch.filter(names, STEPS), default="") for names in files]  # how many older ones are left varies
    for name in sorted({*files[0], *files[1]}):
        if name not in files[0] or name not in files[1]:
            if not fnmatch.fnmatch(name, STEPS) or name in newest:
                yield f"{name}: only in {'the reference' if name in files[0] else 'the other'}"
            continue
        first, second = (_content(run / name) for run in (reference, other))
        if name == "digests.csv":  # a signal writes a checkpoint more
            first, second = ({step: found[step] for step in {*first} & {*second}} for found in (first, second))
        yield from unequal(first, second, name)


def _outcome(run: Path) -> set[str]:
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    return {name for name in names if not any(fnmatch.fnmatch(name, about) for about in ABOUT)}


def _content(path: Path) -> Any:
    if path.suffix == ".ckpt":
        import torch

        return torch.load(path, weights_only=True)
    if path.name == "results.json":
        return json.loads(path.read_text())
    if path.name == "digests.csv":
        return dict(row.split(",") for row in path.read_text().split())
    if path.name == "metrics.csv":
        from segbench.runs.metrics_log import read_metrics

        return read_metrics(path)
    return path.read_bytes()


def _bytes(tensor: Any) -> bytes:
    return bytes(tensor.reshape(-1).view(importlib.import_module("torch").uint8).numpy())


def unequal(first: Any, second: Any, where: str) -> Iterator[str]:
    """Yield where two values of nested containers differ; tensors are compared bit by bit, NaN is equal to NaN."""
    if type(first) is not type(second):
        yield f"{where}: {type(first).__name__} and {type(second).__name__}"
    elif isinstance(first, dict):
        for key in sorted({*first, *second} - CLOCK, key=str):
            if key in first and key in second:
                yield from unequal(first[key], second[key], f"{where}[{key}]")
            else:
                yield f"{where}[{key}]: only in {'the reference' if key in first else 'the other'}"
    elif isinstance(first, list | tuple):
        if len(first) != len(second):
            yield f"{where}: {len(first)} and {len(second)} entries"
        for number, pair in enumerate(zip(first, second, strict=False)):
            yield from unequal(*pair, f"{where}[{number}]")
    elif type(first).__name__ == "Tensor":
        if (first.dtype, first.shape) != (second.dtype, second.shape):
            yield f"{where}: {first.dtype} {list(first.shape)} and {second.dtype} {list(second.shape)}"
        elif _bytes(first) != _bytes(second):
            yield f"{where}: tensors differ by up to {(first.double() - second.double()).abs().max():.3g}"
    elif first != second and not (first != first and second != second):
        shown = f"{len(first)} and {len(second)} bytes" if isinstance(first, bytes) else f"{first!r} and {second!r}"
        yield f"{where}: {shown}"
