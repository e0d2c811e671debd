"""Teachers: better networks whose outputs a network learns to imitate, beside the labels or instead of them.

A teacher sees the same augmented images as its student and says something about every pixel, so that it also teaches
where a label is missing. It is in evaluation mode, gets no gradient, and is imitated in the tasks that both have.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ednas.exceptions import ConfigError, EdnasError
from ednas.files import exists, is_folder
from ednas.plugins import load_plugin
from ednas.training.checkpoint import load_checkpoint
from ednas.training.model import Model
from ednas.training.tiles import Forward


@dataclass(frozen=True)
class Teacher:
    """What is imitated.

    Attributes:
        forward: Maps images ``(N, 3, H, W)`` in [0, 1] to raw outputs ``(N, C, h, w)`` by task.
        tasks: Those that are imitated.
        digest: Tells teachers apart, so that a run does not resume under another one.
    """

    forward: Forward
    tasks: tuple[str, ...]
    digest: str

    def __call__(self, image: Tensor) -> dict[str, Tensor]:
        """Return the raw outputs, float32, of the tasks that are imitated."""
        outputs = self.forward(image)
        return {task: outputs[task].float() for task in self.tasks}


def load_teacher(source: str, student: Model) -> Teacher:
    """Load a teacher onto the student's device, and check that it fits.

    Args:
        source: A checkpoint's folder (with its own normalisation; its input size does not matter), or
            ``module:function`` or ``file.py:function``: a function of the user's that takes no argument and returns
            what maps images ``(N, 3, H, W)`` in [0, 1] to raw outputs ``(N, C, h, w)`` by task, ``h`` and ``w`` those
            of the image or, as at stride 4, less. Where that is a module, it is moved to the device. The code is run:
            name only files you trust.
        student: What is to be trained.

    Raises:
        ConfigError: There is no such teacher, it has no task in common with the student, or predicts something else
            under the name of a common task.
        CheckpointError: The checkpoint is damaged.
    """
    place, colon, function = source.rpartition(":")
    if colon and not exists(source):
        return _load_function(place, function, student)
    if not is_folder(source):
        raise ConfigError(f"teacher '{source}': no such folder; give a checkpoint, or file.py:function")
    model = load_checkpoint(source).to(student.device)
    tasks = _common(source, model.tasks, student)
    for task in tasks:
        ours, theirs = (each.targets[each.tasks[task].target] for each in (student, model))
        if difference := theirs.difference(ours):
            raise ConfigError(f"teacher '{source}': predicts another {task} than the dataset has: {difference}")
        _check_channels(source, task, model.tasks[task].channels, student)
    return Teacher(model.forward, tasks, _digest(_freeze(model.network)))


def _load_function(place: str, function: str, student: Model) -> Teacher:
    source = f"{place}:{function}"
    plugin = load_plugin(place)
    make = getattr(plugin, function, None)
    if not callable(make):
        raise ConfigError(f"teacher '{source}': {place} has no function '{function}'")
    try:
        inspect.signature(make).bind()
    except TypeError:
        raise ConfigError(f"teacher '{source}': must take no argument, and return what predicts") from None
    try:
        forward = make()
    except EdnasError:
        raise
    except Exception as error:  # it is somebody's code
        raise ConfigError(f"teacher '{source}': fails ({type(error).__name__}: {error})") from error
    if isinstance(forward, nn.Module):
        digest = _digest(_freeze(forward.to(student.device)))
    else:
        digest = hashlib.sha256(Path(inspect.getfile(plugin)).read_bytes()).hexdigest()[:16]
    image = torch.full((1, 3, *student.input_size), 0.5, device=student.device)
    with torch.no_grad():
        outputs = forward(image)
    if not isinstance(outputs, Mapping):
        raise ConfigError(f"teacher '{source}': returns {type(outputs).__name__}, expected raw outputs by task")
    tasks = _common(source, outputs, student)
    for task in tasks:
        shape = tuple(getattr(outputs[task], "shape", ()))
        if len(shape) != 4:
            raise ConfigError(f"teacher '{source}': {task} has the shape {shape}, expected (N, C, H, W)")
        _check_channels(source, task, shape[1], student)
    return Teacher(forward, tasks, digest)


def _common(source: str, theirs: Mapping[str, Any], student: Model) -> tuple[str, ...]:
    """Return the tasks that both have."""
    tasks = tuple(task for task in student.tasks if task in theirs)
    if not tasks:
        raise ConfigError(
            f"teacher '{source}': predicts {', '.join(theirs) or 'nothing'}, which has no task in common with what is "
            f"trained: {', '.join(student.tasks)}"
        )
    return tasks


def _check_channels(source: str, task: str, channels: int, student: Model) -> None:
    if channels != student.tasks[task].channels:
        raise ConfigError(
            f"teacher '{source}': has {channels} channels for {task}, the network {student.tasks[task].channels}"
        )


def _freeze(network: nn.Module) -> nn.Module:
    return network.eval().requires_grad_(False)


def _digest(network: nn.Module) -> str:
    """Return a digest of a network's weights, the same on every device."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
