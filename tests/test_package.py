"""The wheel holds every file, and the README's commands exist."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    pytest.importorskip("hatchling", reason="building without a new environment needs hatchling")
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.whl")
    with zipfile.ZipFile(file) as archive:
        archive.extractall(folder / "installed")
    return folder / "installed"


def test_wheel_holds_every_module_picture_and_configuration(wheel):
    for top, inside in (("segbench", "segbench"), ("conf", "segbench/conf")):
        for path in (ROOT / top).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc":
                assert (wheel / inside / path.relative_to(ROOT / top)).is_file(), path


def test_wheel_composes_from_an_empty_folder(wheel, tmp_path):
    code = (
        f"import sys; sys.path.insert(0, {str(wheel)!r}); from segbench.commands.launch import train_main;"
        " train_main(['--cfg', 'job'])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "_target_: segbench.models.unet.UNet" in done.stdout
    assert "segbench.conf" not in done.stderr


def documented_commands():
    """Return the commands of the README and of the documentation, in blocks and within the text."""
    lines = []
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")  # a command may go on in the next line
        blocks = re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
        lines += [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return sorted({line for line in lines if re.match(r"(python train\.py|segbench) ", line)})


@pytest.mark.parametrize("line", documented_commands())
def test_every_command_in_the_documentation_is_accepted(line):
    """Each is composed and checked as the command line itself does it; words in capitals stand for paths."""
    import shlex

    from segbench import cli
    from segbench.commands import sweep
    from segbench.config.compose import check_sweep, compose_config
    from segbench.config.words import spelled_out

    words = shlex.split(line)
    if words[0] == "segbench":
        group = {group.name: group.typer_instance for group in cli.app.registered_groups}.get(words[1])
        commands = cli.app.registered_commands if group is None else group.registered_commands
        known = {one.name or one.callback.__name__ for one in commands}
        options = {"--help", "--version", "--install-completion"}
        assert words[1 if group is None else 2] in known | options, line
        return
    settings = [word for word in spelled_out(words[2:]) if "=" in word and not re.search(r"[A-Z]{3}", word)]
    if "-m" in words:
        if any(word.startswith("sweep=") for word in settings):  # an interval is for a search alone
            settings = sweep._checkable(settings)
        check_sweep(settings)
    else:
        compose_config(settings)


def test_there_are_two_set_up_commands_of_one_line_each():
    text = (ROOT / "README.md").read_text()
    for name, ending in (
        ("run command", "python train.py model=unet loss=dice data=fgbg"),
        ("test command", "pytest -n auto"),
    ):
        block = re.search(rf"<!-- {name} -->\n```bash\n(.*?)\n```", text, re.DOTALL).group(1)
        assert "\n" not in block
        assert block.endswith(ending)
