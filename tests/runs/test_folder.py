"""The small files of a run folder: whatever damages one, every reader ends with the same exit status."""

import pytest

from segbench.core.errors import SegbenchError
from segbench.runs.folder import RunFolder, read_json
from segbench.runs.metrics_log import MetricsLog, read_metrics
from segbench.sweeps.folder import SweepFolder

READERS = {
    "status.json": lambda run: run.read_status(),
    "results.json": lambda run: run.read_results(),
    "environment.json": lambda run: read_json(run.environment),
    "sweep.json": lambda run: SweepFolder(run.path).read(),
    "metrics.csv": lambda run: read_metrics(run.metrics),
    "metrics.csv ": lambda run: MetricsLog(run.metrics, ["loss"]),
}
DAMAGES = {"torn": b'"state', "binary": b"\xff\xfe\x00", "list": b"[1]", "other": b'{"a": 1}', "deep": b"[" * 100_000}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_of_a_run_folder_has_one_exit_status(tmp_path, name, damage):
    path = tmp_path / name.strip()
    path.write_bytes(DAMAGES[damage])
    if (name, damage) == ("environment.json", "other"):
        assert READERS[name](RunFolder(tmp_path)) == {"a": 1}  # any object is one
        return
    if name == "metrics.csv" and damage != "binary":
        assert READERS[name](RunFolder(tmp_path)) == []  # rows that are none are left out, as after a kill
        return
    with pytest.raises(SegbenchError, match=path.name) as caught:
        READERS[name](RunFolder(tmp_path))
    assert caught.value.exit_code == 4
    assert len(str(caught.value).splitlines()) == 1
