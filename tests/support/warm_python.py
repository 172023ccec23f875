"""A stand-in for Python, for launchers that start processes themselves: those begin warm, as forks of `warm`'s server.

`PYTHON_EXEC`, which torchrun and `trainer.devices=N` obey, names a small script. It asks this process for a fork, sends
signals on to it, dies with it, and ends as it ends.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from tests.support import warm

SCRIPT = """#!{python} -IS
import array, json, os, signal, socket, struct, sys
words = [word for word in sys.argv[1:] if word != "-u"]
connection = socket.socket(socket.AF_UNIX)
connection.connect({address!r})
request = json.dumps({{"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}}).encode()
streams = array.array("i", [1, 2])
connection.sendmsg([struct.pack("!I", len(request))], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
connection.sendall(request)
(process,) = struct.unpack("!I", connection.recv(4, socket.MSG_WAITALL))
for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2"):
    signal.signal(getattr(signal, name), lambda number, frame: os.kill(process, number))
(code,) = struct.unpack("!i", connection.recv(4, socket.MSG_WAITALL))
if code < 0:
    signal.signal(-code, signal.SIG_DFL) if code != -9 else None
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class WarmPython:
    """Serves the script while entered; `environment` is what a launcher needs to use it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._script = folder / "python"
        self._listener = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> WarmPython:
        address = os.path.relpath(self._folder / "warm")  # that of a socket may have only some hundred characters
        self._listener.bind(address)
        self._listener.listen(64)
        self._script.write_text(SCRIPT.format(python=sys.executable, address=str(self._folder / "warm")))
        self._script.chmod(0o755)
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    @property
    def environment(self) -> dict[str, str]:
        """Variables for the launcher."""
        return {"PYTHON_EXEC": str(self._script)}

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=_attend, args=(connection, self._folder), daemon=True).start()


def file_of(code: str, folder: Path) -> Path:
    """Return the file that holds some code; it appears as a whole, as another process may be reading it already."""
    file = folder / f"code-{abs(hash(code))}.py"
    if not file.exists():
        written = folder / f"{uuid4().hex}.py"
        written.write_text(code)
        written.replace(file)
    return file


def _attend(connection: socket.socket, folder: Path) -> None:
    with connection:
        streams = array.array("i")
        head, passed, _, _ = connection.recvmsg(4, socket.CMSG_LEN(2 * streams.itemsize))
        streams.frombytes(passed[0][2])
        (size,) = struct.unpack("!I", head)
        request = json.loads(connection.recv(size, socket.MSG_WAITALL))
        words = request["words"]
        if words[0] == "-c":
            words = [str(file_of(words[1], folder)), *words[2:]]
        out, err = (os.fdopen(number, "wb") for number in streams)
        with out, err:
            process = warm.start(words, cwd=Path(request["cwd"]), env=request["env"], stdout=out, stderr=err)
        connection.sendall(struct.pack("!I", process.pid))
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.02)
            if process.returncode is None and select.select([connection], [], [], 0)[0]:
                with suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)  # the script was killed
        with suppress(OSError):
            connection.sendall(struct.pack("!i", process.returncode))
