"""The digest of a checkpoint is made while it is written, beside the writing."""

import errno
import hashlib
import io
import json

import pytest
import torch

from segbench.core.errors import CheckpointError
from segbench.runs import checkpoints
from segbench.training.checkpoints.digested import BESIDE, digested
from segbench.training.checkpoints.storage import save_atomic

CONTENT = {"state_dict": {"large": torch.arange(BESIDE, dtype=torch.float32), "small": torch.zeros(3)}}


class Full(io.BytesIO):
    """A disk that takes small pieces alone."""

    def write(self, data):
        if memoryview(data).nbytes >= BESIDE:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def test_it_is_that_of_the_file_which_is_not_read_for_it(tmp_path, monkeypatch):
    def unread(path):
        raise AssertionError(f"{path} was read once more")

    monkeypatch.setattr(checkpoints, "digest", unread)
    path = tmp_path / "step-00000007.ckpt"
    save_atomic(CONTENT, path)
    checkpoints.point_to(path, 7)
    found = json.loads((tmp_path / "latest.json").read_text())
    whole = path.read_bytes()
    assert len(whole) > 4 * BESIDE
    assert [found[key] for key in ("step", "bytes", "sha256")] == [7, len(whole), hashlib.sha256(whole).hexdigest()]
    assert torch.equal(torch.load(path, weights_only=True)["state_dict"]["large"], CONTENT["state_dict"]["large"])


@pytest.mark.parametrize("sizes", [[], [0], [1, BESIDE, BESIDE - 1, 3 * BESIDE + 5, 0, 2]])
def test_pieces_of_any_size_are_digested_in_their_order(sizes):
    pieces = [bytes([number]) * size for number, size in enumerate(sizes)]
    file = io.BytesIO()
    with digested(file) as written:
        assert [written.write(memoryview(piece)) for piece in pieces] == sizes
    assert file.getvalue() == b"".join(pieces)
    assert (written.bytes, written.sha256) == (sum(sizes), hashlib.sha256(b"".join(pieces)).hexdigest())


def test_a_large_piece_that_does_not_fit_is_told_as_the_disk_does():
    with digested(Full()) as written, pytest.raises(OSError, match="No space left"):
        written.write(bytes(BESIDE))


def test_a_checkpoint_without_room_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "step-00000008.ckpt"

    def refuse(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("segbench.training.checkpoints.digested.DigestedFile.write", refuse)
    with pytest.raises(CheckpointError, match="cannot be written: No space left on device"):
        save_atomic(CONTENT, path)
    assert list(tmp_path.iterdir()) == []
