"""The collector of cycles comes back however the block ends, and stays off where it was."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from segbench.core.collector import collector_paused, heap_shared, imports_kept, release_heap, share_heap


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


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self):
        self.me = self


def ring():
    return weakref.ref(Ring())


def test_what_is_set_aside_is_collected_after_the_block():
    """Also by a block within another; what was garbage before is not kept at all."""
    with heap_shared():
        with heap_shared():
            before, kept = ring(), Ring()
            share_heap()
            assert before() is None
            assert gc.get_freeze_count()
        later = weakref.ref(kept)
        del kept
        gc.collect()
        assert later() is not None
        release_heap()
        gc.collect()
        assert later() is None
        share_heap()
    assert not gc.get_freeze_count()


def test_the_heap_of_others_stays_as_it_is():
    """Outside of the block nothing is set aside, and what another program has frozen stays so."""
    share_heap()
    assert not gc.get_freeze_count()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with heap_shared():
            share_heap()
        assert gc.get_freeze_count() <= frozen
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()


def test_what_imports_make_is_old_and_can_be_collected(monkeypatch):
    with imports_kept():
        enabled = gc.isenabled()
        made = ring()
        monkeypatch.setitem(sys.modules, "segbench_made_up", sys)
    assert (enabled, gc.isenabled(), gc.get_freeze_count()) == (False, True, 0)
    gc.collect(1)
    assert made() is not None
    gc.collect()
    assert made() is None
