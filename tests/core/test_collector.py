"""The collector of cycles comes back however the block ends, and stays off where it was."""

from __future__ import annotations

import gc

import pytest

from segbench.core.collector import collector_paused


def test_the_collector_is_paused_and_comes_back():
    seen = []

    @collector_paused()
    def fail():
        seen.append(gc.isenabled())
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"):
        fail()
    assert (seen, gc.isenabled()) == ([False], True)


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
