"""From the configuration of a training to what is trained and measured: the model, the splits, the batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np

from ednas.data import CachedSplit, DenseDataset, open_cache, open_dataset
from ednas.data.complaints import read_first
from ednas.data.holdout import hold_out
from ednas.data.loader import BatchLoader
from ednas.data.reader import check_labels, labelled_samples, split_remarks
from ednas.data.sample import VOID, valid_pixels
from ednas.exceptions import ConfigError, DataError
from ednas.seeding import derive_seed
from ednas.tasks import task_target
from ednas.tasks.segmentation.losses import COUNTED_WEIGHTS
from ednas.training.config import TrainConfig
from ednas.training.init import initialise, load_weights
from ednas.training.model import Model, build_model
from ednas.training.size import InputSize, choose_input_size

DecodeProgress = Callable[[int, int], None]
"""Called with (samples decoded, samples in all) while a dataset is decoded for the first time."""

_log = logging.getLogger(__name__)


def prepare(
    config: TrainConfig, decode_progress: DecodeProgress | None = None
) -> tuple[Model, CachedSplit, CachedSplit]:
    """Open the data and make the network of a configuration, fresh or with the weights of ``recipe.init``.

    Where a task's ``class_weights`` are a name of :data:`COUNTED_WEIGHTS`, numbers that are counted from the training
    split take its place.

    Args:
        config: What to train, on what, and how.
        decode_progress: Called with samples done and in all while the dataset is decoded.

    Returns:
        The model, the training split and the validation split, both at the model's input size and without the samples
        that have no label of any of the tasks.

    Raises:
        EdnasError: The configuration, the data or the architecture are wrong; a split has no label at all of a task.
    """
    datasets, size = open_splits(config, ("train", "val"))
    model = make_model(config, datasets, size, decode_progress)
    train_split, val_split = decode_splits(datasets, model, decode_progress)
    return model, train_split, val_split


def prepare_judgement(
    config: TrainConfig, decode_progress: DecodeProgress | None = None
) -> tuple[Model, CachedSplit, CachedSplit]:
    """Do as :func:`prepare` for a training whose result only helps to choose, as in a search.

    Such a choice must not look at the validation split, which is for the final figure alone: it is not opened.

    Returns:
        The model, and the training split in two parts: to train on, and to measure on
        (:func:`ednas.data.holdout.hold_out`).

    Raises:
        EdnasError: As :func:`prepare`.
    """
    datasets, size = open_splits(config, ("train",))
    model = make_model(config, datasets, size, decode_progress)
    (split,) = decode_splits(datasets, model, decode_progress)
    return model, *hold_out(split, targets=model.targets)


def open_splits(config: TrainConfig, splits: Sequence[str]) -> tuple[list[DenseDataset], InputSize]:
    """Open splits of the data, and choose the size to train at."""
    datasets = [open_dataset(config.data, split, **config.data_options) for split in splits]
    height, width = read_first(datasets[0]).image.shape[:2]
    return datasets, choose_input_size(config, (height, width))


def make_model(
    config: TrainConfig, datasets: Sequence[DenseDataset], size: InputSize, decode_progress: DecodeProgress | None
) -> Model:
    """Make the model that :func:`prepare` returns, and find what the data lack for its tasks.

    Args:
        config: What to train, and how.
        datasets: The training split first; decoded only where class weights are counted.
        size: As :func:`open_splits` chose it.
        decode_progress: Called with samples done and in all while it decodes.
    """
    config.recipe.weighting.complete()  # a plugin may bring it: not before now is it known
    architecture = config.load_architecture()
    weights = None if config.recipe.init is None else load_weights(config.recipe.init, architecture)
    train_set = datasets[0]
    task_options = config.recipe.options_of(config.tasks)
    for task, options in task_options.items():
        rule = options.get("class_weights")
        if isinstance(rule, str) and rule in COUNTED_WEIGHTS:
            split = open_cache(train_set, size.size, progress=decode_progress)
            options["class_weights"] = count_weights(split, task_target(task), rule)
    model = build_model(
        architecture,
        config.tasks,
        train_set.info.targets,
        input_size=size.size,
        seed=derive_seed(config.seed, "weights"),
        task_options=task_options,
        normalisation=config.normalisation or (None if weights is None else weights.normalisation),
        dataset=train_set.info.name,
        data_options=config.data_options,
        plugins=config.plugins,
    )
    if weights is not None:
        _log.info("start from %s; taken %s", config.recipe.init, initialise(model, weights))
    for dataset in datasets:
        check_labels(dataset, model.targets)
        for remark in split_remarks(dataset):
            _log.warning("%s: %s", dataset.split, remark)
    return model


def decode_splits(
    datasets: Sequence[DenseDataset], model: Model, decode_progress: DecodeProgress | None
) -> list[CachedSplit]:
    """Return splits at the model's input size, without the samples that have no label of any of its tasks.

    An image without a label of these tasks teaches nothing, and takes the place of one that would.

    Raises:
        DataError: A split has no valid pixel of a target.
    """
    splits = [
        open_cache(dataset, model.input_size, progress=decode_progress).select(
            labelled_samples(dataset, model.targets), dataset.split
        )
        for dataset in datasets
    ]
    for split in splits:
        for name in model.targets:
            info, values = split.info.targets[name], split.targets[name]
            if not any(valid_pixels(values[row], info).any() for row in split.rows):
                raise DataError(
                    f"dataset {split.info.name}: no pixel of {name} in split '{split.split}' is valid; look at what is "
                    "void or invalid and at the scale in its description, or leave out the task"
                )
    return splits


def make_loader(config: TrainConfig, model: Model, split: CachedSplit) -> BatchLoader:
    """Return the batches of a run, on the model's device."""
    return BatchLoader(
        split,
        config.recipe.batch_size,
        derive_seed(config.seed, "batches"),
        config.recipe.augment,
        sorted(model.targets),
        device=model.device,
    )


def count_weights(split: CachedSplit, target: str, rule: str) -> list[float]:
    """Class weights that a rule of :data:`COUNTED_WEIGHTS` makes of a split's labels, void excluded.

    Raises:
        ConfigError: The split has no such target of kind ``labels``.
    """
    info = split.info.targets.get(target)
    if info is None or info.kind != "labels":
        raise ConfigError(f"class_weights: '{rule}' needs class labels, which the dataset's '{target}' has not")
    counts = np.zeros(VOID + 1, dtype=np.int64)
    for labels in split.targets[target][split.rows]:
        counts += np.bincount(labels.ravel(), minlength=len(counts))
    return COUNTED_WEIGHTS[rule](counts[: info.num_classes].tolist())
