"""Arrays are opened by many threads at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from segbench.core.npy import open_npy


def test_headers_are_parsed_one_at_a_time(tmp_path, monkeypatch):
    """Two parsers at work at once may raise a SystemError in Python 3.11."""
    np.save(tmp_path / "a.npy", np.arange(6).reshape(2, 3))
    original = np.load
    busy = threading.Lock()

    def load(*arguments, **named):
        assert busy.acquire(blocking=False), "another thread parses"
        try:
            threading.Event().wait(0.002)
            return original(*arguments, **named)
        finally:
            busy.release()

    monkeypatch.setattr(np, "load", load)
    with ThreadPoolExecutor(8) as pool:
        arrays = list(pool.map(open_npy, [tmp_path / "a.npy"] * 40))
    assert all(np.array_equal(array, [[0, 1, 2], [3, 4, 5]]) for array in arrays)
    with pytest.raises(ValueError, match="read-only"):
        arrays[0][0, 0] = 1


def test_what_is_no_array_is_numpys_error(tmp_path):
    (tmp_path / "b.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="pickled"):
        open_npy(tmp_path / "b.npy")
