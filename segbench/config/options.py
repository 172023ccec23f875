"""Groups of the configuration and their options."""

from __future__ import annotations

from functools import cache

from segbench.config.paths import conf_dir

OPTIONAL = ("experiment",)
"""Groups that need no option, whose options lie in folders that only sort them."""
SEVERAL = ("logger",)
"""Groups of which several options can be chosen at once, as `logger=[tensorboard,csv]`."""


@cache
def groups() -> dict[str, list[str]]:
    """Return every group and its options, found by listing the configuration folder.

    A folder within a group is a group of its own (`loss/depth`), but experiments are only sorted into folders: one is
    chosen as `experiment=seed/camvid_unet`.
    """
    root = conf_dir()
    found: dict[str, list[str]] = {}
    for file in sorted(root.rglob("*.yaml")):
        group, *inner = file.relative_to(root).with_suffix("").parts
        if not inner:
            continue
        if group not in OPTIONAL:
            group = "/".join([group, *inner[:-1]])
        found.setdefault(group, []).append("/".join(inner) if group in OPTIONAL else inner[-1])
    return found
