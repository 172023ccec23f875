"""Checkpoints that are not what they seem: never code, never a bomb, and nothing removed that the run did not write."""

import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch

from segbench.core.errors import CheckpointError
from segbench.inference.checkpoints import load_safely
from segbench.runs.checkpoints import digest, point_to, prune, step_checkpoints
from segbench.training.checkpoints.storage import newest_good, save_atomic, sweep_temporary


class Trap:
    """Touches a file when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch outside/pwned",)


def write_zip(path):
    torch.save({"state_dict": {}, "trap": Trap()}, path)


def write_legacy(path):
    torch.save({"state_dict": {}, "trap": Trap()}, path, _use_new_zipfile_serialization=False)


def write_pickle(path):
    path.write_bytes(pickle.dumps(Trap()))


WRITERS = {write_zip: "posix.system", write_legacy: "not a whole archive", write_pickle: "not a whole archive"}


@pytest.fixture(autouse=True)
def _environment_that_asks_for_pickle(monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")


@pytest.fixture
def checkpoints(tmp_path):
    """A folder into which `save(step)` writes small checkpoints as a run does."""

    def save(step):
        path = tmp_path / f"step-{step:08d}.ckpt"
        save_atomic({"state_dict": {"w": torch.full((3,), float(step))}}, path)
        point_to(path, step)
        return path

    save.folder = tmp_path
    save.latest = tmp_path / "latest.json"
    return save


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_trap_works(run):
    torch.save({"trap": Trap()}, "trap.ckpt")
    torch.load("trap.ckpt", weights_only=False)
    assert Path("outside/pwned").exists()


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_code_in_the_best_checkpoint_does_not_run(refused, run, verb, write):
    for path in [run / "checkpoints/best.ckpt", *step_checkpoints(run / "checkpoints")]:
        path.unlink()
    write(run / "checkpoints/best.ckpt")
    assert WRITERS[write] in refused(verb, 4)
    assert not Path("outside/pwned").exists()


def test_code_in_the_checkpoint_of_a_step_does_not_run(attempt, run):
    folder = run / "checkpoints"
    for step, write in enumerate(WRITERS, start=90):
        write(folder / f"step-{step:08d}.ckpt")
    outcome = attempt("resume")
    assert outcome.code == 0, outcome.err
    for step, message in enumerate(WRITERS.values(), start=90):
        assert f"step-{step:08d}.ckpt is damaged ({message}" in outcome.out.replace("it asks for ", "").replace(
            "it is ", ""
        )
    (folder / "latest.json").unlink()
    for path in step_checkpoints(folder):
        path.unlink()
        write_zip(path)
    outcome = attempt("resume", "trainer.max_epochs=4")
    assert outcome.code == 4
    assert "every checkpoint" in outcome.err
    assert "posix.system" in outcome.err
    assert not Path("outside/pwned").exists()


def test_settings_in_a_clean_checkpoint_do_nothing(attempt, run):
    best = run / "checkpoints/best.ckpt"
    checkpoint = torch.load(best, weights_only=True)
    scores = attempt("evaluate").out
    command = {"_target_": "os.system", "command": "touch outside/pwned", "_args_": ["touch outside/pwned"]}
    checkpoint["hyper_parameters"] = {**command, "_instantiator": "os.system", "_class_path": "os.system"}
    checkpoint["hparams_name"] = checkpoint["datamodule_hparams_name"] = "os.system"
    checkpoint["datamodule_hyper_parameters"] = checkpoint["hparams_type"] = command
    best.unlink()
    torch.save(checkpoint, best)
    assert attempt("evaluate").out == scores
    newest = step_checkpoints(run / "checkpoints")[-1]
    newest.unlink()
    torch.save({**torch.load(best, weights_only=True), "state_dict": checkpoint["state_dict"]}, newest)
    (run / "checkpoints/latest.json").unlink()
    outcome = attempt("resume")
    assert outcome.code == 0, outcome.err
    assert not Path("outside/pwned").exists()


def test_a_compressed_checkpoint_is_refused(refused, run):
    best = run / "checkpoints/best.ckpt"
    with zipfile.ZipFile(best) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    for path in [best, *step_checkpoints(run / "checkpoints")]:
        path.unlink()
    with zipfile.ZipFile(best, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    torch.load(best, weights_only=True)  # torch itself would take it
    assert "it is compressed" in refused("evaluate", 4)


def test_a_checkpoint_that_claims_to_be_larger_than_its_file(checkpoints):
    path = checkpoints(1)
    raw = bytearray(path.read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    raw[entry + 20 : entry + 28] = struct.pack("<II", 1 << 30, 1 << 30)
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="claims to be larger than the file"):
        load_safely(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "has no state_dict"),
        ({"a": 1}, "has no state_dict"),
        ({"state_dict": 5}, "has no state_dict"),
        ({"state_dict": {}, "x": Path("x")}, "pathlib"),
    ],
)
def test_what_is_no_checkpoint(tmp_path, content, message):
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_safely(tmp_path / "x.ckpt")
    assert "\n" not in str(caught.value)
    assert "weights_only" not in str(caught.value)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.ckpt")
    (tmp_path / "folder.ckpt").mkdir()
    (tmp_path / "huge.ckpt").touch()
    os.truncate(tmp_path / "huge.ckpt", 1 << 34)
    for name, message in [
        ("pipe", "not a regular file"),
        ("folder", "not a regular file"),
        ("no", "there is no"),
        ("huge", "not a whole archive"),
    ]:
        with pytest.raises(CheckpointError, match=message):
            load_safely(tmp_path / f"{name}.ckpt")


def test_every_kept_checkpoint_is_listed_with_its_digest(checkpoints):
    paths = [checkpoints(step) for step in (3, 6, 100_000_000)]
    latest = json.loads(checkpoints.latest.read_text())
    assert (latest["file"], latest["step"]) == ("step-100000000.ckpt", 100_000_000)
    assert latest["kept"] == [
        {"file": path.name, "step": step, "bytes": path.stat().st_size, "sha256": digest(path)}
        for path, step in zip(paths, (3, 6, 100_000_000), strict=True)
    ]
    assert step_checkpoints(checkpoints.folder) == paths
    assert newest_good(checkpoints.folder) == paths[-1]


def test_every_candidate_is_held_against_its_own_digest(checkpoints, caplog):
    paths = [checkpoints(step) for step in (3, 6, 9)]
    for path in paths[1:]:  # whole files, but not the ones that were written
        torch.save({"state_dict": {"w": torch.zeros(3)}}, path)
    assert newest_good(checkpoints.folder) == paths[0]
    assert names(checkpoints.folder) == [
        "latest.json",
        "step-00000003.ckpt",
        "step-00000006.ckpt.damaged",
        "step-00000009.ckpt.damaged",
    ]
    assert caplog.text.count("digest differs") == 2


OLD_POINTER = '{"file": "step-00000006.ckpt", "step": 6, "bytes": %d, "sha256": "%s"}'
POINTERS = [OLD_POINTER, "{", "[]", '{"file": 1}', '{"kept": {"a": 1}}', '{"kept": [1, {"file": "../../x"}]}']


@pytest.mark.parametrize("latest", POINTERS)
def test_a_pointer_without_a_list(checkpoints, latest):
    older, newest = checkpoints(3), checkpoints(6)
    checkpoints.latest.write_text(latest.replace("%d", str(newest.stat().st_size)).replace("%s", digest(newest)))
    assert newest_good(checkpoints.folder) == newest
    prune(checkpoints.folder, 1)
    assert older.exists()
    third = checkpoints(9)
    known = json.loads(checkpoints.latest.read_text())["kept"]
    assert [entry["step"] for entry in known] == ([6, 9] if "sha256" in latest else [9])
    newest.write_bytes(older.read_bytes())
    third.unlink()
    assert newest_good(checkpoints.folder) == (older if "sha256" in latest else newest)


def test_a_kill_between_a_checkpoint_and_its_pointer_leaves_it_listed(checkpoints):
    checkpoints(3)
    save_atomic({"state_dict": {}}, checkpoints.folder / "step-00000006.ckpt")
    latest = json.loads(checkpoints.latest.read_text())
    assert (latest["step"], [entry["step"] for entry in latest["kept"]]) == (3, [3, 6])


def test_only_what_the_run_wrote_is_removed(checkpoints, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "precious.ckpt"
    outside.write_bytes(b"precious")
    folder = checkpoints.folder
    for step in range(2, 9):
        checkpoints(step)
    (folder / "step-00000001.ckpt").write_bytes(b"a stranger's")
    (folder / "step-00000002.ckpt").write_bytes(b"of another size now")
    (folder / "step-00000003.ckpt").unlink()
    (folder / "step-00000003.ckpt").symlink_to(outside)
    (folder / "step-00000004.ckpt").unlink()
    (folder / "step-00000004.ckpt").mkdir()
    (folder / "step-5.ckpt").touch()
    prune(folder, 2)
    assert names(folder) == ["latest.json", *(f"step-{step:08d}.ckpt" for step in (1, 2, 3, 4, 7, 8)), "step-5.ckpt"]
    assert outside.read_bytes() == b"precious"
    assert (folder / "step-00000001.ckpt").read_bytes() == b"a stranger's"
    assert [entry["step"] for entry in json.loads(checkpoints.latest.read_text())["kept"]] == [2, 7, 8]
    prune(folder, 0)
    assert (folder / "step-00000008.ckpt").exists()


def test_links_and_strange_names_are_no_candidates(checkpoints, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "step-00000009.ckpt"
    good = checkpoints(3)
    outside.write_bytes(good.read_bytes())
    (checkpoints.folder / "step-00000009.ckpt").symlink_to(outside)
    for name in (
        "step-10.ckpt",
        "step-00000011.ckpt.ckpt",
        "step-0000001x.ckpt",
        "step-00000012.ckpt\n",
        "step-٠٠٠٠٠٠١٣.ckpt",
    ):
        (checkpoints.folder / name).write_bytes(good.read_bytes())
    os.mkfifo(checkpoints.folder / "step-00000014.ckpt")
    assert step_checkpoints(checkpoints.folder) == [good]
    assert newest_good(checkpoints.folder) == good


def test_half_written_files_of_dead_processes_are_swept(checkpoints, tmp_path_factory):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    outside = tmp_path_factory.mktemp("outside") / "precious.txt"
    outside.write_text("precious")
    folder, dead, alive = checkpoints.folder, child.pid, os.getpid()
    for name in ("step-00000001.ckpt", "best.ckpt", "latest.json"):
        for process in (dead, alive):
            (folder / f".{name}.{process}.tmp").write_text("half")
    (folder / f".notes.txt.{dead}.tmp").write_text("a stranger's")
    (folder / f".step-00000002.ckpt.{dead}.tmp").symlink_to(outside)
    (folder / f".step-00000003.ckpt.{dead}.tmp").mkdir()
    sweep_temporary(folder)
    sweep_temporary(folder / "none")
    assert names(folder) == sorted(
        [
            *(f".{name}.{alive}.tmp" for name in ("step-00000001.ckpt", "best.ckpt", "latest.json")),
            f".notes.txt.{dead}.tmp",
            f".step-00000002.ckpt.{dead}.tmp",
            f".step-00000003.ckpt.{dead}.tmp",
        ]
    )
    assert outside.read_text() == "precious"


def test_a_resume_leaves_what_is_not_its_own(attempt, run):
    folder, outside = run / "checkpoints", Path("outside/best.ckpt").absolute()
    best = folder / "best.ckpt"
    outside.write_bytes(best.read_bytes())
    before = outside.read_bytes()
    best.unlink()
    best.symlink_to(outside)
    strangers = ("step-00000001.ckpt", "notes.txt", "step-x.ckpt")
    for name in strangers:
        (folder / name).write_bytes(b"a stranger's")
    (folder / "step-00000000.ckpt").symlink_to(outside)
    outcome = attempt("resume", "trainer.max_epochs=5")
    assert outcome.code == 0, outcome.err
    assert outside.read_bytes() == before
    assert all((folder / name).read_bytes() == b"a stranger's" for name in strangers)
    assert (folder / "step-00000000.ckpt").is_symlink()
    written = [entry["file"] for entry in json.loads((folder / "latest.json").read_text())["kept"]]
    assert sorted([*strangers, "best.ckpt", "latest.json", "step-00000000.ckpt", *written]) == names(folder)
    assert len(written) == 2
