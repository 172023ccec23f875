"""Where pretrained weights of a name lie on this machine, and from where they are fetched if that is wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path

import torch

from segbench.core.errors import ConfigError

SUFFIXES = (".safetensors", ".pth", ".pt")
"""What the files of weights end with."""

HUB_FILE = "model.safetensors"
"""The file of weights in a repository of the Hugging Face hub."""


@dataclass(frozen=True)
class Source:
    """Where weights of one name can be had."""

    url: str | None = None
    """A file on a server, whose name torch's cache keeps."""
    repo: str | None = None
    """A repository of the Hugging Face hub that holds `model.safetensors`, such as `timm/resnet18.a1_in1k`."""
    revision: str | None = None
    """Which state of the repository; None for the newest."""
    package: tuple[str, str] | None = None
    """A Python package that holds the file, and the file's path in it."""

    @property
    def names(self) -> list[str]:
        """Names of files and folders that the weights are looked up by in a folder."""
        found = []
        if self.url is not None:
            found = [self.url.rpartition("/")[2]]
        if self.repo is not None:
            found.append(self.repo.rpartition("/")[2])
        return found


def find_weights(word: str, source: Source, *, dirs: Sequence[str] = (), download: bool = False) -> Path:
    """Return the file of the weights that `model.weights` names.

    Args:
        word: The path of a file or of a folder with `model.safetensors`, or a name.
        source: Where the network says that weights of this name can be had.
        dirs: Folders to look in first.
        download: Whether they may be fetched.

    Raises:
        ConfigError: where they are not here; it says which file to put where.
    """
    for place in _places(word, source, dirs=dirs):
        if place.is_file():
            return place
    if _is_path(word) and not source.names:
        raise ConfigError(f"model.weights={word} is not a file; give the path of a state dict, or null for none")
    if download and source.names:
        return _fetched(word, source)
    raise ConfigError(_missing(word, source, dirs=dirs))


def _is_path(word: str) -> bool:
    return "/" in word or "\\" in word or word.endswith(SUFFIXES)


def _places(word: str, source: Source, *, dirs: Sequence[str]) -> Iterator[Path]:
    given = Path(word).expanduser()
    yield given
    yield given / HUB_FILE
    for name in [word, *source.names]:
        for folder in [*map(Path, dirs), Path(torch.hub.get_dir()) / "checkpoints"]:
            place = folder.expanduser() / name
            yield place
            yield place / HUB_FILE
            yield from (place.with_name(f"{place.name}{suffix}") for suffix in SUFFIXES)
    yield from _in_hub_cache(source)
    if source.package is not None:
        yield from _in_package(*source.package)


def _in_hub_cache(source: Source) -> Iterator[Path]:
    if source.repo is None:
        return
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return
    found = try_to_load_from_cache(source.repo, HUB_FILE, revision=source.revision)
    if isinstance(found, str):
        yield Path(found)


def _in_package(package: str, file: str) -> Iterator[Path]:
    """Yield the file in a package, which is found but not imported."""
    spec = find_spec(package)
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        yield Path(folder) / file


def _fetched(word: str, source: Source) -> Path:
    try:
        if source.repo is not None:
            from huggingface_hub import hf_hub_download

            return Path(hf_hub_download(source.repo, HUB_FILE, revision=source.revision))
        assert source.url is not None
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / source.names[0]
        # the names of torchvision's and timm's files end in the beginning of their digest
        digest = file.stem.rpartition("-")[2]
        torch.hub.download_url_to_file(source.url, str(file), hash_prefix=digest or None, progress=False)
        return file
    except (OSError, RuntimeError, ValueError, HTTPException, ImportError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"model.weights={word} could not be downloaded ({reason}); {_remedy(source)}") from None


def _missing(word: str, source: Source, *, dirs: Sequence[str]) -> str:
    looked = ", ".join([*map(str, dirs), "torch's and Hugging Face's caches"])
    if not source.names:
        return (
            f"there are no weights called model.weights={word} in {looked}: put {word}.safetensors or {word}.pth into a"
            " folder and give weights.dirs=[FOLDER], or give the path of a file, or null for none"
        )
    return f"model.weights={word} is not in {looked}: {_remedy(source)}, or give weights.download=true"


def _remedy(source: Source) -> str:
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    if source.repo is not None:
        name = source.names[-1]
        return (
            f"put {HUB_FILE} of https://huggingface.co/{source.repo} as {name}.safetensors into a folder of"
            f" weights.dirs or into {folder}"
        )
    return f"put {source.url} into a folder of weights.dirs or into {folder}"
