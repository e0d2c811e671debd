"""Checkpoints: a folder with ``model.safetensors``, ``config.json`` and ``metrics.json``; loading never unpickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from ednas.arch import Architecture
from ednas.arch.architecture import check_input_size
from ednas.config import StrictModel, parse
from ednas.data.sample import TargetInfo
from ednas.exceptions import CheckpointError, EdnasError
from ednas.files import atomic_path, read_json, recover, write_json
from ednas.nn import MultiTaskNetwork
from ednas.plugins import is_loaded
from ednas.runs import CheckpointFolder, RunFolder
from ednas.training.config import Normalisation
from ednas.training.model import Model, build_model
from ednas.training.tensors import check_finite, load_into, read_tensors, write_tensors


class CheckpointConfig(StrictModel):
    """Content of a checkpoint's ``config.json``.

    Attributes:
        format: Version of the checkpoint's layout.
        architecture: JSON form of the architecture.
        tasks: Names of the tasks, in the order of the heads.
        heads: Output channels by task, for what knows no tasks.
        targets: What the dataset said about the targets that the tasks read.
        task_options: Options that the tasks were made with.
        input_size: ``(H, W)``.
        normalisation: What happens to an image before the network.
        dataset: Name of the dataset.
        data_options: Options of its format that it was opened with.
        plugins: Files or modules of the user's own code that its tasks, losses, backbone and decoder may come from;
            loading runs none of them.
        steps: Training steps.
        seed: Seed of the training run.
    """

    format: Literal[1] = 1
    architecture: dict[str, Any]
    tasks: tuple[str, ...]
    heads: dict[str, int] = Field(default_factory=dict)
    targets: dict[str, TargetInfo]
    task_options: dict[str, dict[str, Any]] = Field(default_factory=dict)
    input_size: tuple[int, int]
    normalisation: Normalisation = Field(default_factory=Normalisation)
    dataset: str = ""
    data_options: dict[str, Any] = Field(default_factory=dict)
    plugins: tuple[str, ...] = ()
    steps: int = 0
    seed: int = 0


def save_checkpoint(folder: Path | str, model: Model, metrics: Mapping[str, Any] | None = None) -> Path:
    """Write a checkpoint; an older one at the same place is replaced as a whole.

    Args:
        folder: The checkpoint's folder.
        model: What to save.
        metrics: Content of ``metrics.json``, from :func:`ednas.training.evaluate`; None = no such file.

    Returns:
        The folder.

    Raises:
        EdnasError: The place cannot be written; what was there is unchanged.
        CheckpointError: ``folder`` exists and is something else than a checkpoint; or :func:`load_checkpoint` could not
            make the network again: it is not what :func:`ednas.training.build_model` makes of the model's facts.
    """
    folder = Path(folder)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not CheckpointFolder(folder).config.is_file():
        raise CheckpointError(f"{folder}: exists and is no checkpoint; choose another place")
    config = CheckpointConfig(
        architecture=model.architecture.to_dict(),
        tasks=tuple(model.tasks),
        heads={name: task.channels for name, task in model.tasks.items()},
        targets=dict(model.targets),
        task_options={name: dict(options) for name, options in model.task_options.items()},
        input_size=model.input_size,
        normalisation=model.normalisation,
        dataset=model.dataset,
        data_options=dict(model.data_options),
        plugins=model.plugins,
        steps=model.steps,
        seed=model.seed,
    )
    _check_made_again(model, config, folder)
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        made = CheckpointFolder(temporary)
        write_tensors(made.weights, model.network.state_dict())
        write_json(made.config, config.model_dump(mode="json"))
        if metrics is not None:
            write_json(made.metrics, dict(metrics))
    return folder


def load_checkpoint(folder: Path | str) -> Model:
    """Read a checkpoint; the network comes in evaluation mode, on the CPU.

    What is the user's own (tasks, losses, backbone, decoder) must be registered before
    (:func:`ednas.load_plugin`).

    Args:
        folder: The checkpoint's folder, or a run's folder with a ``checkpoint`` in it.

    Raises:
        CheckpointError: The folder or a file in it is missing, truncated, damaged, or written by another version; or a
            weight is not finite.
    """
    found = _find(Path(folder))
    file = found.config
    content = read_json(file, CheckpointError)
    if not isinstance(content, dict):
        raise CheckpointError(f"{file}: holds {type(content).__name__}, expected an object; no checkpoint of ednas")
    if content.get("format") != 1:
        raise CheckpointError(f"{file}: format {content.get('format')!r:.40}, this version reads format 1")
    config = parse(CheckpointConfig, content, str(file), CheckpointError)
    try:
        model = _make(config)
    except EdnasError as error:
        missing = [plugin for plugin in config.plugins if not is_loaded(plugin)]
        hint = f"; its plugin may be {missing[0]}: give it by --plugin" if missing else ""
        raise CheckpointError(f"{file}: {error}{hint}") from None
    tensors, _ = read_tensors(found.weights)
    load_into(model.network, tensors, found.weights)
    model.network.eval()
    return model.with_training(steps=config.steps, seed=config.seed)


def read_metrics(folder: Path | str) -> dict[str, Any]:
    """Read a checkpoint's ``metrics.json``.

    Raises:
        CheckpointError: It is missing or damaged.
    """
    file = _find(Path(folder)).metrics
    content = read_json(file, CheckpointError)
    if not isinstance(content, dict) or not isinstance(content.get("tasks"), dict):
        raise CheckpointError(f"{file}: no metrics of ednas; evaluate the checkpoint again")
    return content


def find_metrics(folder: Path | str) -> dict[str, Any] | None:
    """Return a checkpoint's ``metrics.json``; None where it has none that can be read."""
    try:
        return read_metrics(folder)
    except CheckpointError:
        return None


def run_name(folder: Path) -> str:
    """Return the name of a checkpoint's run: most checkpoint folders are called ``checkpoint``."""
    place = folder.resolve()
    return place.parent.name if place.name == "checkpoint" else place.name


def trained_depths(folder: Path | str) -> dict[str, float]:
    """Return the mean depths that a checkpoint's network was trained on, as far as its ``metrics.json`` says."""
    trained_on = (find_metrics(folder) or {}).get("trained_on")
    means = trained_on.get("mean_depths") if isinstance(trained_on, dict) else None
    return {name: value for name, value in means.items() if isinstance(value, float)} if isinstance(means, dict) else {}


def _make(config: CheckpointConfig) -> Model:
    """Make a checkpoint's model, with fresh weights."""
    check_input_size(config.input_size)
    return build_model(
        Architecture.from_dict(config.architecture),
        config.tasks,
        config.targets,
        input_size=config.input_size,
        task_options=config.task_options,
        normalisation=config.normalisation,
        dataset=config.dataset,
        data_options=config.data_options,
        plugins=config.plugins,
    )


def _check_made_again(model: Model, config: CheckpointConfig, folder: Path) -> None:
    """Refuse to save what could not be loaded, or would compute something else then."""
    network = model.network
    check_finite(network.state_dict(), f"{folder}: not saved")
    try:
        again = _make(config).network
        if type(network) is not MultiTaskNetwork:
            raise CheckpointError(f"it is a {type(network).__name__}, no MultiTaskNetwork")
        for own, made in zip(str(network).splitlines(), str(again).splitlines(), strict=False):
            if own != made:
                raise CheckpointError(f"it has '{own.strip()}' where its architecture makes '{made.strip()}'")
        load_into(again, network.state_dict(), "its weights")
    except EdnasError as error:
        raise CheckpointError(
            f"{folder}: not saved, since the network could not be loaded again: {error}; register parts of your own "
            "(ednas.register_backbone, ednas.register_decoder) and name them in the architecture, or save the "
            "state_dict yourself"
        ) from None


def _find(folder: Path) -> CheckpointFolder:
    outer, inner = CheckpointFolder(folder), RunFolder(folder).checkpoint
    for place in (outer, inner):
        recover(place.path)
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder}: no such folder; a checkpoint is a folder with {outer.config.name} and {outer.weights.name}"
        )
    found = inner if inner.path.is_dir() and not outer.config.is_file() else outer
    if not found.config.is_file():
        raise CheckpointError(f"{folder}: no checkpoint ({outer.config.name} is missing)")
    return found
