"""Where the configuration groups lie: in the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

import segbench


def conf_dir() -> Path:
    """Return the absolute folder of `train.yaml` and the groups; works in a checkout, editable install and wheel."""
    package = Path(segbench.__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return folder
    raise FileNotFoundError(f"no conf/train.yaml in or beside {package}; the installation is incomplete")
