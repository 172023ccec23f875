"""Pages of the documentation that are made from the sources, as a hook of mkdocs: settings and parts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from segbench.config.reference import markdown_table

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("metrics", "losses", "models", "data")
_EXPORTED = re.compile(r"^    from (segbench\.[\w.]+) import (\w+) as \2$", re.MULTILINE)
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)#]+)\)")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page's text with its generated part, and without links to files that are not on the site."""
    if "<!-- settings -->" in markdown:
        return markdown.replace("<!-- settings -->", settings(ROOT / "conf"))
    if "<!-- parts -->" in markdown:
        return markdown.replace("<!-- parts -->", parts(ROOT / "segbench"))
    return _OUTSIDE.sub(lambda found: _name(found, ROOT / "docs" / page.file.src_uri), markdown)


def settings(conf: Path) -> str:
    """Return every YAML file below a folder: the groups in turn, each option with its header and its keys."""
    sections = ["## What every run has", markdown_table(), *_option(conf / "train.yaml")]
    folder = None
    for file in sorted(conf.rglob("*/*.yaml"), key=lambda file: (file.parent.as_posix(), file.name)):
        if file.parent != folder:
            folder = file.parent
            sections.append(f"## {folder.relative_to(conf).as_posix()}")
        sections.append(f"### {file.relative_to(conf).with_suffix('').as_posix()}")
        sections += _option(file)
    return "\n\n".join(sections)


def _option(file: Path) -> list[str]:
    """Return the comment at the head of a YAML file as text, its commands as a block, and the keys as YAML."""
    lines = file.read_text(encoding="utf-8").splitlines()
    size = next((place for place, line in enumerate(lines) if not line.startswith("#")), len(lines))
    head = [line.removeprefix("#").removeprefix(" ") for line in lines[:size]]
    text = " ".join(line for line in head if not line.startswith("  "))
    commands = "\n".join(line.strip() for line in head if line.startswith("  "))
    keys = "\n".join(lines[size:]).strip()
    blocks = [text, f"```bash\n{commands}\n```" if commands else "", f"```yaml\n{keys}\n```" if keys else ""]
    return [block for block in blocks if block]


def parts(package: Path) -> str:
    """Return the directives that show the functions of the front door, and all exported parts."""
    sections = ["## segbench", "::: segbench.api"]
    for name in PACKAGES:
        sections.append(f"## segbench.{name}")
        exported = _EXPORTED.findall((package / name / "__init__.py").read_text(encoding="utf-8"))
        sections += [f"::: {module}.{part}" for module, part in exported]
    return "\n\n".join(sections)


def _name(found: re.Match[str], page: Path) -> str:
    """Return a link's text alone where it leads to a file of the repository that is no page."""
    target = (page.parent / found[2]).resolve()
    on_site = target.is_relative_to(ROOT / "docs")
    return found[0] if on_site or not target.exists() else f"{found[1]} (`{target.relative_to(ROOT).as_posix()}`)"
