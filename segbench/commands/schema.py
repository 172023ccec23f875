"""`schema`: what may stand in the YAML file of an experiment, for an editor."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from segbench.commands.output_paths import file_for
from segbench.config.json_schema import experiment_schema
from segbench.config.labels import check_plugins
from segbench.core.errors import ConfigError
from segbench.core.files import write_json


def write_schema(out: Path | None, folders: Sequence[Path], *, plugins: Sequence[str]) -> None:
    """Write the JSON schema of an experiment, or print it.

    Args:
        out: The file to write; None prints.
        folders: Folders of the user's own options.
        plugins: The user's own packages.

    Raises:
        ConfigError: for a folder or a package that is not there.
    """
    check_plugins(plugins)
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"--options: there is no folder {folder}")
    if out is None:
        print(json.dumps(experiment_schema(folders, plugins), indent=1))
        return
    with file_for(out):
        write_json(out, experiment_schema(folders, plugins))
    print(f"wrote {out}; begin an experiment with  # yaml-language-server: $schema={out}")
