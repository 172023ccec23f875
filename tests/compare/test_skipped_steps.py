"""Steps that a run left out are told wherever it is compared, as results.json counts them."""

import json

from segbench.compare.comparison import compare_runs
from segbench.training.finite import FiniteCheck
from tests.support.fake_runs import write_run


def test_a_run_that_left_steps_out_is_named_with_their_number(tmp_path):
    check = FiniteCheck("skip")
    for seed, (name, skipped) in enumerate((("steady", []), ("broken", [4, 9, 11]))):
        run = write_run(tmp_path / name, seed=seed)
        check.skipped = skipped
        results = json.loads((run / "results.json").read_text())
        (run / "results.json").write_text(json.dumps({**results, "skipped_steps": check.record()}))
    (note,) = [note for note in compare_runs([tmp_path]).notes if "skipped" in note]
    assert "broken (3)" in note
    assert "steady" not in note
