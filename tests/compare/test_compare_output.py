"""Every format, hostile folders, a thousand runs, and that torch stays out."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import time

import pytest
import yaml
from rich.console import Console

from segbench.commands.compare import compare
from segbench.compare.as_json import to_json
from segbench.compare.comparison import compare_runs
from segbench.compare.settings import flat_yaml
from segbench.compare.tables import to_csv, to_markdown
from segbench.compare.terminal import print_comparison
from segbench.compare.text import csv_cell, markdown_cell, si
from segbench.core.errors import ConfigError
from segbench.core.text import printable
from tests.support.fake_runs import HOSTILE, hostile, some_counts, write_run


@pytest.fixture
def three(tmp_path):
    """Two losses of three seeds, a failed run and a broken one."""
    for loss, recall in (("dice", 0.8), ("focal", 0.7)):
        for seed in (1, 2, 3):
            write_run(tmp_path / f"{loss}{seed}", seed=seed, loss=loss, counts=some_counts(40, recall, seed))
    write_run(tmp_path / "failed", state="failed", error="ValueError: too\nlong", loss="tversky", seed=4)
    write_run(tmp_path / "torn").joinpath("results.json").write_text("{")
    return tmp_path


def printed(found, width=200):
    text = io.StringIO()
    print_comparison(Console(file=text, width=width, color_system=None), found)
    return text.getvalue()


def test_the_table(three):
    text = printed(compare_runs([three]))
    line = next(line for line in text.splitlines() if " dice " in line and "params" in line)
    assert line.split()[:3] == ["*", "dice", "0.7301"]
    assert "n=3, params=1.00k, FLOPs=2.00M, img/s=50, peak B=1.00G, time=1 min 0 s" in text
    assert "loss=focal is worse than loss=dice" in text and "1 of 2 settings is the best: loss=dice" in text
    assert "failed  failed  loss=tversky seed=4  ValueError: too\\nlong" in " ".join(text.split(" ")).replace(
        "   ", "  "
    )
    assert "torn" in text and "results.json is not JSON" in text
    assert "95 % interval: of the score for other seeds on other images" in text


def test_csv(three):
    rows = list(csv.DictReader(io.StringIO(to_csv(compare_runs([three])))))
    assert [(row["state"], row["loss"], row["n"]) for row in rows] == [
        ("completed", "dice", "3"),
        ("completed", "focal", "3"),
        ("failed", "tversky", ""),
        ("broken", "", ""),
    ]
    assert (rows[0]["best"], rows[1]["verdict"], rows[0]["parameters"]) == ("best", "worse", "1000")
    assert float(rows[1]["difference_high"]) < 0 and rows[3]["error"].startswith("results.json is not JSON")
    assert float(rows[0]["low"]) < float(rows[0]["test/mean_iou"]) < float(rows[0]["high"])


def test_csv_says_what_a_word_lacks_and_why_there_is_none(tmp_path):
    for number, loss in enumerate(("dice", "focal", "bce")):
        counts = None if loss == "bce" else some_counts(40, 0.8, number)
        write_run(tmp_path / loss, loss=loss, score=0.5, val=0.5 - number / 10, counts=counts)
    rows = {row["loss"]: row for row in csv.DictReader(io.StringIO(to_csv(compare_runs([tmp_path]))))}
    assert rows["dice"]["best"] == "best" and rows["dice"]["reason"] == ""
    assert rows["focal"]["verdict"] == "too few seeds" and rows["focal"]["difference"]
    assert rows["focal"]["reason"].startswith("0 of the 4 repeats that a word needs; 4 more runs in all will do")
    assert (rows["bce"]["verdict"], rows["bce"]["reason"]) == ("not comparable", "bce: test_images.csv is missing")


def test_json(three):
    found = json.loads(to_json(compare_runs([three])))
    assert found["metric"] == "test/mean_iou" and found["columns"] == ["loss"]
    assert [(group["settings"], group["n"]) for group in found["groups"]] == [
        ({"loss": "dice"}, 3),
        ({"loss": "focal"}, 3),
    ]
    (verdict,) = found["verdicts"]
    assert (verdict["first"], verdict["second"], verdict["word"], verdict["seeds"]) == (1, 0, "worse", [3, 3])
    assert [(run["run"], run["state"]) for run in found["others"]] == [("failed", "failed"), ("torn", "broken")]


def test_markdown(three):
    lines = to_markdown(compare_runs([three])).splitlines()
    assert lines[0].startswith("|  | loss | n | val/mean_iou | test/mean_iou | sd | 95 % interval | params |")
    assert lines[2].startswith("| \\* | dice | 3 |") and lines[2].count("|") == lines[0].count("|")
    assert "| failed | failed | loss=tversky seed=4 | ValueError: too\\\\nlong |" in lines
    assert any(line.startswith("- loss=focal is worse than loss=dice") for line in lines)


def test_files_are_written_and_wrong_words_refused(three, capsys):
    for form in ("table", "csv", "json", "md"):
        out = three.parent / "made" / f"out.{form}"
        compare([str(three)], form=form, out=out)
        assert "dice" in out.read_text()
        compare([str(three)], form=form)
        assert "dice" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="there is no --format 'jsn'; did you mean 'json'"):
        compare([str(three)], form="jsn")


EVIL = {
    "markup": ("[red]x[/red][link=http://a]", "[red]x[/red]"),
    "quoted": ("=HYPERLINK(1)", "=HYPERLINK(1)"),
    "control": ("\\x1b]0;owned\\x07", "\\x1b]0;owned\\x07"),
    "direction": ("\\u202Egnp", "\\u202egnp"),
}


@pytest.mark.parametrize("name", EVIL)
def test_words_of_untrusted_runs_are_only_words(tmp_path, name):
    written, shown = EVIL[name]
    write_run(tmp_path / "a", loss="dice")
    write_run(tmp_path / "b", loss=f'"{written}"', score=0.4)
    write_run(tmp_path / "c", state="failed", error="[bold]\x1b[31m|<script>")
    found = compare_runs([tmp_path])
    for text in (printed(found), to_csv(found), to_markdown(found), to_json(found)):
        assert not any(ord(one) < 32 and one != "\n" for one in text) and "\u202e" not in text
    assert shown in printed(found) and "[bold]\\x1b[31m|<script>" in printed(found)
    assert "\\[bold\\]" in to_markdown(found) and "<script>" not in to_markdown(found)


def test_formulas_are_neutralised():
    assert csv_cell("=cmd|' /C calc'!A0") == "'=cmd|' /C calc'!A0"
    assert [csv_cell(text) for text in ("@x", "+x", "-x", " =x", "-0.5", "unet", "\t=x")] == [
        "'@x",
        "'+x",
        "'-x",
        "' =x",
        "-0.5",
        "unet",
        "\\t=x",
    ]
    assert (csv_cell(None), csv_cell(0.25), csv_cell(1000.0)) == ("", 0.25, 1000)


def test_texts():
    assert printable("a\x00\nb\ud800\udcff") == "a\\x00\\nb\\ud800\\xff"
    assert len(printable("x" * 999, 300)) == 300 and printable("a\n\r", keep="\n") == "a\n\\r"
    assert markdown_cell("a|b_c *d* _e_ <i>") == "a\\|b_c \\*d\\* \\_e\\_ &lt;i&gt;"
    assert [si(value) for value in (0, 683, 999.9, 123393, 7012352, 1e9, 2.5e12)] == [
        "0",
        "683",
        "1.00k",
        "123k",
        "7.01M",
        "1.00G",
        "2.50T",
    ]


@pytest.mark.parametrize("kind", range(len(HOSTILE)))
def test_a_hostile_folder_is_a_broken_run(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_run(tmp_path / "runs" / "good")
    reason = hostile(tmp_path / "runs" / "evil", kind)
    found = compare_runs([tmp_path / "runs"])
    assert [run.name for group in found.groups for run in group.runs] == ["good"]
    (run,) = found.others
    assert (run.name, run.state) == ("evil", "broken") and reason in run.error
    assert not (tmp_path / "pwned").exists()


def test_numbers_that_are_none_are_left_out(tmp_path):
    path = write_run(tmp_path / "a") / "results.json"
    text = path.read_text().replace('"seconds": 60.0', f'"seconds": {"9" * 400}').replace("1000,", "true,")
    path.write_text(text.replace('"best": 0.5', '"best": NaN'))
    (group,) = compare_runs([tmp_path]).groups
    assert group.summary.n == 0 and set(group.costs) == {"flops_per_image", "images_per_second", "peak_memory_bytes"}


@pytest.mark.parametrize(
    "words", [["model=unet", "loss=dice"], ["model=fcn", "data=camvid", "loss=cross_entropy"], ["data=coco", "seed=7"]]
)
def test_settings_are_read_as_a_yaml_library_reads_them(words):
    from omegaconf import OmegaConf

    from segbench.config.compose import compose_config, plain_config
    from segbench.config.words import spelled_out

    text = OmegaConf.to_yaml(OmegaConf.create(plain_config(compose_config(spelled_out(words)))))
    assert flat_yaml(text) == dict(flattened(yaml.safe_load(text)))


def flattened(node, prefix=""):
    for key, value in node.items():
        if isinstance(value, dict) and value:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


TRICKY = [
    "a: 'no'\nb: no\nc: 1e-3\nd: 1.0e-08\ne: null\nf: ~\ng: 0x1F\nh: 010\ni: 1_000\nj: '1'\nk: x y\nl: .inf\n",
    "a:\n- 1\n- x\nb:\n  - 2\nc: []\nd: {}\ne:\nf:\n  g:\n    h:\n    - true\n  i: 3\n",
    "a: [1, 2]\nb: {c: 1}\nd:\n- e: 1\n  f: 2\n- - 3\n",
    "a: 'it''s'\nb: \"x\\ty\"\nc: |\n  two\n  lines\nd: x # note\n# e\n",
    "a: one\n  more\nb: http://x/y\nc: 'a: b'\non: 1\n",
    "a/b: 1\na:\n  c.d: 2\n",
]


@pytest.mark.parametrize("text", TRICKY)
def test_other_forms_of_yaml_are_read_as_well(text):
    assert flat_yaml(text) == dict(flattened(yaml.safe_load(text)))


def test_a_thousand_runs_of_which_a_tenth_is_broken(tmp_path, record_property):
    for number in range(900):
        loss, lr, seed = f"loss{number // 3 % 10}", f"{0.001 * (1 + number // 30):.4g}", number % 3
        score = 0.3 + 0.05 * (number // 3 % 10) + 0.001 * seed
        write_run(tmp_path / f"s{number // 100}" / f"{number:03d}", seed=seed, loss=loss, lr=lr, score=score)
    for number in range(100):
        hostile(tmp_path / "evil" / f"{number:03d}", number)
    start = time.perf_counter()
    found = compare_runs([tmp_path])
    record_property("seconds", time.perf_counter() - start)
    assert len(found.groups) == 300 and all(group.summary.n == 3 for group in found.groups)
    assert found.columns == ["loss", "optimizer.lr"]
    assert found.groups[0].settings["loss"] == "loss9" and found.groups[0].summary.mean == pytest.approx(0.751)
    assert [run.state for run in found.others] == ["broken"] * 100
    assert len(found.verdicts) == 299 and {verdict.word for verdict in found.verdicts} == {"not comparable"}


def test_torch_is_not_imported(three):
    heavy = "{'torch', 'pytorch_lightning', 'hydra', 'matplotlib', 'scipy.stats'}"
    code = (
        "import sys; from segbench.commands.compare import compare; compare([sys.argv[1]]);"
        f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(three)], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]" and "worse than" in done.stdout
