"""The state that a broken-off run resumes from: weights, buffers, the optimizer's state and the step, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ednas.exceptions import CheckpointError, TrainingError
from ednas.training.tensors import load_into, read_tensors, write_tensors

_FORMAT = 2


def save_state(
    file: Path,
    modules: Mapping[str, nn.Module],
    optimizer: Optimizer,
    step: int,
    *,
    identity: Mapping[str, Any],
    scaler: Mapping[str, Any],
) -> None:
    """Write the state after ``step`` steps, atomically.

    Args:
        file: Where to.
        modules: By name, what is saved with parameters and buffers: ``network``, which the optimizer trains, and
            others that follow it.
        optimizer: Over the network's parameters.
        step: Steps done.
        identity: What the run is; a resumed one must be the same.
        scaler: State of the loss scaling of float16 training; empty otherwise.

    Raises:
        TrainingError: A weight or buffer is not finite; the older state stays.
        EdnasError: The place cannot be written; the older state stays.
    """
    tensors = {f"{owner}.{name}": t for owner, module in modules.items() for name, t in module.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingError(
                f"step {step}: '{name.partition('.')[2]}' is no longer finite; training has diverged: "
                "lower the learning rate or set grad_clip"
            )
    for name, parameter in modules["network"].named_parameters():
        for kind, value in optimizer.state.get(parameter, {}).items():
            if value is not None:  # as SGD's without momentum
                tensors[f"optimizer.{name}.{kind}"] = value
    notes = {"format": _FORMAT, "step": step, "identity": dict(identity), "scaler": dict(scaler)}
    write_tensors(file, tensors, notes)


def load_state(
    file: Path, modules: Mapping[str, nn.Module], optimizer: Optimizer, identity: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Bring modules and optimizer to the saved state.

    Returns:
        The number of steps done, and the state of the loss scaling.

    Raises:
        CheckpointError: The file is missing or damaged, or belongs to another run; the message says in what it differs.
    """
    tensors, notes = read_tensors(file)
    step, scaler = notes.get("step"), notes.get("scaler")
    if notes.get("format") != _FORMAT or not isinstance(step, int) or step < 0 or not isinstance(scaler, dict):
        raise CheckpointError(f"{file}: not a training state of this version; delete it to start again")
    saved = notes.get("identity")
    for key, value in identity.items():
        other = saved.get(key) if isinstance(saved, dict) else None
        if other != value:
            raise CheckpointError(
                f"{file}: belongs to another run ({key} was {other!r:.60}, is {value!r:.60}); "
                "choose another folder or delete the file"
            )
    for owner, module in modules.items():
        load_into(module, _below(tensors, owner), file)
    parameters = dict(modules["network"].named_parameters())
    for key, value in _below(tensors, "optimizer").items():
        name, _, kind = key.rpartition(".")
        if name not in parameters:
            raise CheckpointError(f"{file}: '{name}' is no parameter of the network; delete the file to start again")
        optimizer.state[parameters[name]][kind] = _placed(value, parameters[name], optimizer)
    return step, scaler


def _below(tensors: Mapping[str, Tensor], owner: str) -> dict[str, Tensor]:
    prefix = f"{owner}."
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _placed(value: Tensor, parameter: nn.Parameter, optimizer: Optimizer) -> Tensor:
    """Return a part of the optimizer's state where the optimizer expects it."""
    if value.shape == parameter.shape:
        # It must lie in memory as the parameter does: the fused step walks over both alike.
        return torch.zeros_like(parameter, requires_grad=False).copy_(value)
    counts_on_device = optimizer.defaults.get("fused") or optimizer.defaults.get("capturable")
    return value.to(parameter.device if value.dim() or counts_on_device else "cpu", copy=True)
