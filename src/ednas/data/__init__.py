"""Datasets: readers of many formats behind one contract, a shared cache, augmentation and batches."""

from ednas.data.cache import CachedSplit, open_cache
from ednas.data.formats import dataset_splits, open_dataset, register_format
from ednas.data.sample import VOID, DatasetInfo, DenseDataset, Sample, TargetInfo

__all__ = [
    "VOID",
    "CachedSplit",
    "DatasetInfo",
    "DenseDataset",
    "Sample",
    "TargetInfo",
    "dataset_splits",
    "open_cache",
    "open_dataset",
    "register_format",
]
