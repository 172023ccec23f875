"""The record of an export, `dataset.json`: what it is, how it was made, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import segbench
from segbench.core.choices import Split
from segbench.core.plain import Plain
from segbench.core.tasks import IGNORE_INDEX
from segbench.data.export.options import Options
from segbench.data.loading.datamodule import SegmentationData

LAYOUT = 3
"""Counted up when the files of an export change their places or their meaning."""

INFORMATIVE = ("settings", "mean", "std", "values", "test_is_val")
"""Parts that may differ as long as the fingerprints agree: the samples are the same."""


def export_record(
    data: SegmentationData, options: Options, *, samples: Mapping[Split, int], settings: Mapping[str, object]
) -> Plain:
    """Return the record of an export as plain data.

    Args:
        data: The prepared data set.
        options: How it is written.
        samples: Samples to write of each split.
        settings: The configuration of the data set.
    """
    record = {
        "segbench_export": LAYOUT,
        "segbench": segbench.__version__,
        "classes": data.classes,
        "ignore_index": IGNORE_INDEX,
        "size": data.size,
        "mean": data.mean,
        "std": data.std,
        "bands": None if data.channels.bands is None else list(range(data.channels.count)),
        "values": data.values_record(),
        "entries": data.entries,
        "samples": dict(samples),
        "test_is_val": data.test_is_val,
        "fingerprint": {split: data.fingerprint(split) for split in samples},
        "export": options.record(),
        "settings": dict(settings),
    }
    plain: Plain = json.loads(json.dumps(record))
    return plain


def differences(found: Mapping[str, object], wanted: Mapping[str, object]) -> list[str]:
    """Return what differs, as `name there, now here`; settings of the data only where they make other samples."""
    names = [name for name in wanted if name not in (*INFORMATIVE, "fingerprint")]
    changes = _changes({name: found.get(name) for name in names}, {name: wanted[name] for name in names})
    if found.get("fingerprint") == wanted["fingerprint"]:
        return changes
    changes += _changes({"data": found.get("settings")}, {"data": wanted["settings"]})
    return changes or ["the files that the samples are made from have changed"]


def _changes(found: Any, wanted: Any, *, name: str = "") -> list[str]:
    if isinstance(found, Mapping) and isinstance(wanted, Mapping):
        keys = dict.fromkeys([*wanted, *found])
        parts = [_changes(found.get(key), wanted.get(key), name=f"{name}.{key}".lstrip(".")) for key in keys]
        return [change for part in parts for change in part]
    if found == wanted:
        return []
    return [f"{name} was {json.dumps(found)}, is {json.dumps(wanted)} now"]
