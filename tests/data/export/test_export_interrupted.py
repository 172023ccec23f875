"""Interruptions, processes and full disks change no byte of an export, and lose nothing finished."""

import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from segbench.core.errors import ConfigError, DataError, Interrupted
from segbench.data.scenes.fgbg import FgBg
from tests.support.exports import export_data


@pytest.mark.parametrize("format", ["folder", "webdataset"])
def test_two_processes_write_what_one_writes(config, tmp_path, format, digest):
    export_data(config, tmp_path / "one", format=format, chunk=3)
    export_data(config, tmp_path / "two", format=format, chunk=3, workers=2)
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


SLOW = """
import json, sys, time
from pathlib import Path
from segbench.commands.data_export import export_data
from segbench.config.schema import Part
from segbench.data.scenes.fgbg import FgBg

if __name__ == "__main__":
    exact, wait = FgBg.sample, 0.1
    def slow(self, split, **place):
        time.sleep(wait)
        return exact(self, split, **place)
    FgBg.sample = slow
    data = Part.of(json.loads(sys.argv[1])["data"], "data")
    export_data(data, Path(sys.argv[2]), **json.loads(sys.argv[3]))
"""


def start(config, out, folder, **options):
    """Begin an export in a process of its own, slowly where it writes itself, and wait for its first finished chunk."""
    script = folder / "slow.py"
    script.write_text(SLOW)
    words = [sys.executable, str(script), json.dumps(config), str(out), json.dumps(options)]
    process = subprocess.Popen(words, env={**os.environ, "OMP_NUM_THREADS": "1"})
    limit = time.monotonic() + 120
    while not list(out.glob(".export/*.parquet")):
        assert process.poll() is None and time.monotonic() < limit
        time.sleep(0.01)
    return process


def test_a_killed_export_continues_to_the_same_bytes(config, tmp_path, digest):
    out, whole = tmp_path / "out", tmp_path / "whole"
    process = start(config, out, tmp_path, chunk=2)
    with pytest.raises(DataError, match="another process is writing"):
        export_data(config, out, chunk=2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = [path.stem for path in out.glob(".export/*.parquet")]
    assert 1 <= len(finished) < 10 and "train-000000" in finished and not (out / "dataset.json").exists()
    first = out / "train" / "images" / "00000000.png"
    written = first.stat().st_mtime_ns
    lines = io.StringIO()
    message = export_data(config, out, chunk=2, console=Console(file=lines))
    assert f"continuing: {2 * len(finished)} of 18 samples are there" in lines.getvalue()
    assert f"{2 * len(finished)} of them before" in message and first.stat().st_mtime_ns == written
    export_data(config, whole, chunk=2)
    assert digest(out) == digest(whole)


def test_processes_of_a_killed_export_end_with_it(config, tmp_path, digest):
    config["data"]["train_size"] = 200
    out = tmp_path / "out"
    process = start(config, out, tmp_path, format="webdataset", chunk=2, workers=2)
    children = descendants(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(children) >= 2
    limit = time.monotonic() + 10
    while any(alive(pid) for pid in children):
        assert time.monotonic() < limit, "a process writes on after its parent was killed"
        time.sleep(0.02)
    assert not (out / "dataset.json").exists()
    with pytest.raises(ConfigError, match="chunk was 2, is 1000 now"):
        export_data(config, out, format="webdataset")
    export_data(config, out, format="webdataset", chunk=2)
    export_data(config, tmp_path / "whole", format="webdataset", chunk=2)
    assert digest(out) == digest(tmp_path / "whole")


def descendants(pid):
    own = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return own + [deeper for child in own for deeper in descendants(child)]


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_keeps_what_is_finished(config, tmp_path, monkeypatch, digest):
    out, exact = tmp_path / "out", FgBg.sample

    def interrupted(self, split, epoch, index):
        if (split, index) == ("train", 7):
            raise KeyboardInterrupt
        return exact(self, split, epoch=epoch, index=index)

    with monkeypatch.context() as patch:
        patch.setattr(FgBg, "sample", interrupted)
        with pytest.raises(Interrupted, match="with 6 of 18 samples") as stop:
            export_data(config, out, chunk=3)
    assert stop.value.exit_code == 130
    export_data(config, out, chunk=3)
    export_data(config, tmp_path / "whole", chunk=3)
    assert digest(out) == digest(tmp_path / "whole")


@pytest.mark.parametrize("format", ["folder", "webdataset"])
def test_a_full_disk_is_one_sentence_and_loses_nothing(config, tmp_path, format, digest):
    config["data"] |= {"train_size": 4, "size": [90, 80]}
    out = tmp_path / "out"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    export = partial(export_data, config, out, format=format, chunk=4, splits=["val", "train"])
    resource.setrlimit(resource.RLIMIT_FSIZE, (24_000, hard))  # a depth map is 28,928 bytes
    try:
        with pytest.raises(DataError, match=r"cannot write to .*File too large; finished chunks are kept"):
            export()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not (out / "dataset.json").exists()
    export()
    export_data(config, tmp_path / "whole", format=format, chunk=4, splits=["val", "train"])
    assert digest(out) == digest(tmp_path / "whole")


def test_an_error_in_a_process_is_the_same_sentence(config, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(
        "from segbench.core.errors import DataError\nfrom segbench.data.scenes.fgbg import FgBg\n"
        "class Broken(FgBg):\n    def sample(self, split, epoch, index):\n"
        "        raise DataError(f'{split} {index} is broken')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    config = {"data": {**config["data"], "_target_": "broken.Broken"}, "plugins": ["broken"]}
    for workers in (0, 2):
        with pytest.raises(DataError, match=r"^\w+ \d+ is broken$"):
            export_data(config, tmp_path / "out", workers=workers, chunk=6)
