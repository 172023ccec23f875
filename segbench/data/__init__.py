"""Data sets: generated scenes, files, and the loaders that serve them by the data law."""

from typing import TYPE_CHECKING

from segbench.core.lazy import lazy

if TYPE_CHECKING:
    from segbench.data.files.annotated import AnnotatedPictures as AnnotatedPictures
    from segbench.data.files.camvid import CamVid as CamVid
    from segbench.data.files.coco import Coco as Coco
    from segbench.data.files.dataset import FileData as FileData
    from segbench.data.files.folder import Folder as Folder
    from segbench.data.files.huggingface import HuggingFace as HuggingFace
    from segbench.data.loading.datamodule import SegmentationData as SegmentationData
    from segbench.data.scenes.fgbg import FgBg as FgBg
    from segbench.data.scenes.mnist_cifar import MnistCifar as MnistCifar
    from segbench.data.scenes.synthetic import Synthetic as Synthetic
    from segbench.data.shards.dataset import ShardedData as ShardedData

__all__ = [
    "AnnotatedPictures",
    "CamVid",
    "Coco",
    "FgBg",
    "FileData",
    "Folder",
    "HuggingFace",
    "MnistCifar",
    "SegmentationData",
    "ShardedData",
    "Synthetic",
]

__getattr__, __dir__ = lazy(
    __name__,
    {
        "AnnotatedPictures": "files.annotated",
        "CamVid": "files.camvid",
        "Coco": "files.coco",
        "FgBg": "scenes.fgbg",
        "FileData": "files.dataset",
        "Folder": "files.folder",
        "HuggingFace": "files.huggingface",
        "MnistCifar": "scenes.mnist_cifar",
        "SegmentationData": "loading.datamodule",
        "ShardedData": "shards.dataset",
        "Synthetic": "scenes.synthetic",
    },
)
