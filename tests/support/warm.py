"""Processes of train.py that begin at once: forks of one that has imported torch already.

What a fork does from there on is what a new Python does: it has a session, a working folder, variables, streams and a
command line of its own, obeys a `sitecustomize.py` on its PYTHONPATH, can be killed, and ends as any interpreter ends.
Only the seconds of imports are saved. The hash seed is that of the server; tests whose outcome could depend on
it compare with a run of a process that was started in the ordinary way.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
IMPORTED = ("segbench.commands.train", "segbench.training.run", "segbench.data.scenes.fgbg", "segbench.losses.dice")
LENGTH = struct.Struct("!I")
POLL = 0.02
"""Seconds between two looks at a fork, by the process that waits for it."""


class Process:
    """A fork of the server, used like a `subprocess.Popen` whose output goes to a file."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        (self.pid,) = LENGTH.unpack(_received(connection, LENGTH.size))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, negative for a signal; None while it runs."""
        if self.returncode is None and select.select([self._connection], [], [], 0)[0]:
            self._finish()
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return the exit status.

        Raises:
            subprocess.TimeoutExpired: if it still runs after `timeout` seconds.
        """
        if self.returncode is None:
            if not select.select([self._connection], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired("a warm process", timeout or 0)
            self._finish()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to it alone, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it alone."""
        self.send_signal(signal.SIGKILL)

    def _finish(self) -> None:
        self.returncode = struct.unpack("!i", _received(self._connection, 4))[0]
        self._connection.close()


class Server:
    """The process that forks; it ends with the one that started it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control, theirs = socket.socketpair()
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(theirs.fileno())],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        atexit.register(self._stop)

    def _stop(self) -> None:
        self._control.close()
        self._process.wait()

    def start(
        self, words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: IO[Any], stderr: IO[Any]
    ) -> Process:
        """Start a process: `words` are a Python file and its arguments."""
        request = json.dumps({"words": list(words), "cwd": str(cwd), "env": dict(env)}).encode()
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            streams = [stdout.fileno(), stderr.fileno(), theirs.fileno()]
            socket.send_fds(self._control, [LENGTH.pack(len(request))], streams)
            self._control.sendall(request)
        return Process(ours)


def forget_fsync() -> None:
    """Let this process leave it to the system when files reach the disk: tests kill processes, not machines."""
    os.fsync = lambda descriptor: None  # type: ignore[assignment]


_STARTING = threading.Lock()


@functools.cache
def _server() -> Server:
    return Server()


def start(words: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: IO[Any], stderr: IO[Any]) -> Process:
    """Start a Python file with arguments as a fork of the server of this process, which is started with the first."""
    with _STARTING:
        server = _server()
    return server.start(words, cwd=cwd, env=env, stdout=stdout, stderr=stderr)


def run(
    words: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Start one, wait for it and return what it printed, as `subprocess.run` does."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = start(words, cwd=cwd, env=env, stdout=out, stderr=err)
        try:
            process.wait(timeout)
        finally:
            process.kill()
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    assert process.returncode is not None
    return subprocess.CompletedProcess(list(words), process.returncode, *texts)


@dataclass
class _Request:
    words: list[str]
    cwd: str
    env: dict[str, str]

    def become(self) -> str:
        """Turn this fork into the process that was asked for, and return the Python file to run."""
        os.chdir(self.cwd)
        paths = [path for path in self.env.get("PYTHONPATH", "").split(os.pathsep) if path and path not in sys.path]
        os.environ.clear()
        os.environ.update(self.env)
        tempfile.tempdir = None
        sys.argv = list(self.words)
        sys.path[:1] = [str(Path(self.words[0]).parent), *paths]
        if any(Path(path, "sitecustomize.py").is_file() for path in paths):
            sys.modules.pop("sitecustomize", None)
            importlib.import_module("sitecustomize")
        return self.words[0]


def _serve(control: socket.socket) -> _Request:
    """Fork for every request; return it in the fork. The server itself never returns."""
    for request, streams in _requests(control):
        if os.fork() == 0:
            control.close()
            _guard(streams)  # returns in another fork
            return request
        for stream in streams:
            os.close(stream)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
    with contextlib.suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)
    os._exit(0)


def _requests(control: socket.socket) -> Iterator[tuple[_Request, list[int]]]:
    while True:
        head, streams, _, _ = socket.recv_fds(control, LENGTH.size, 3)
        if not head:
            return
        yield _Request(**json.loads(_received(control, LENGTH.unpack(head)[0]))), streams


def _guard(streams: list[int]) -> None:
    """Fork again; return in the fork, and in the process that waits for it tell its exit status at its end."""
    ready, go = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(go)
        os.read(ready, 1)  # its number is known before it does anything
        os.close(ready)
        for number, stream in enumerate(streams[:2], start=1):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        return
    with socket.socket(fileno=streams[2]) as connection:
        for number in (ready, *streams[:2]):
            os.close(number)
        connection.sendall(LENGTH.pack(child))
        os.close(go)
        while not (ended := os.waitpid(child, os.WNOHANG))[0]:
            if select.select([connection], [], [], POLL)[0]:  # nobody is left who would wait for it
                with contextlib.suppress(OSError):
                    os.killpg(child, signal.SIGKILL)
                os._exit(0)
        with contextlib.suppress(OSError):
            connection.sendall(struct.pack("!i", os.waitstatus_to_exitcode(ended[1])))
    os._exit(0)


def _received(connection: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connection.recv(size - len(found))
        if not part:
            raise ConnectionError("the server of warm processes has ended")
        found += part
    return found


if __name__ == "__main__":
    forget_fsync()
    for module in IMPORTED:
        importlib.import_module(module)
    file = _serve(socket.socket(fileno=int(sys.argv[1]))).become()
    runpy.run_path(file, run_name="__main__")
