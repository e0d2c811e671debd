"""The state that a broken-off run resumes from: weights, buffers, Adam's moments and the step, in one file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ednas.exceptions import CheckpointError, TrainingError
from ednas.training.tensors import load_into, read_tensors, write_tensors

STATE = "state.safetensors"

_FORMAT = 1
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


def save_state(
    file: Path,
    network: nn.Module,
    optimizer: Optimizer,
    step: int,
    *,
    identity: Mapping[str, Any],
    scaler: Mapping[str, Any],
) -> None:
    """Write the state after ``step`` steps, atomically.

    Args:
        file: Where to.
        network: Its parameters and buffers are saved.
        optimizer: Adam over the network's parameters.
        step: Steps done.
        identity: What the run is; a resumed one must be the same.
        scaler: State of the loss scaling of float16 training; empty otherwise.

    Raises:
        TrainingError: A weight or buffer is not finite; the older state stays.
        EdnasError: The place cannot be written; the older state stays.
    """
    tensors = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingError(
                f"step {step}: '{name.removeprefix('network.')}' is no longer finite; training has diverged: "
                "lower the learning rate or set grad_clip"
            )
    for name, parameter in network.named_parameters():
        moments = optimizer.state.get(parameter, {})
        tensors |= {f"adam.{kind}.{name}": moments[kind] for kind in _MOMENTS if kind in moments}
    notes = {"format": _FORMAT, "step": step, "identity": dict(identity), "scaler": dict(scaler)}
    write_tensors(file, tensors, notes)


def load_state(
    file: Path, network: nn.Module, optimizer: Optimizer, identity: Mapping[str, Any]
) -> tuple[int, dict[str, Any]]:
    """Bring network and optimizer to the saved state.

    Returns:
        The number of steps done, and the state of the loss scaling.

    Raises:
        CheckpointError: The file is missing or damaged, or belongs to another run; the message says in what it differs.
    """
    tensors, notes = read_tensors(file)
    step, scaler = notes.get("step"), notes.get("scaler")
    if notes.get("format") != _FORMAT or not isinstance(step, int) or step < 0 or not isinstance(scaler, dict):
        raise CheckpointError(f"{file}: not a training state of this version; delete it to start anew")
    saved = notes.get("identity")
    for key, value in identity.items():
        other = saved.get(key) if isinstance(saved, dict) else None
        if other != value:
            raise CheckpointError(
                f"{file}: belongs to another run ({key} was {other!r:.60}, is {value!r:.60}); "
                "choose another folder or delete the file"
            )
    prefix = "network."
    weights = {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    load_into(network, weights, file)
    for name, parameter in network.named_parameters():
        _load_moments(optimizer, parameter, name, tensors, file)
    return step, scaler


def _load_moments(
    optimizer: Optimizer, parameter: nn.Parameter, name: str, tensors: Mapping[str, Tensor], file: Path
) -> None:
    saved = {kind: tensors[f"adam.{kind}.{name}"] for kind in _MOMENTS if f"adam.{kind}.{name}" in tensors}
    if not saved:
        return  # a parameter that has no gradient has no moments
    if len(saved) < len(_MOMENTS) or any(saved[kind].shape != parameter.shape for kind in _MOMENTS[1:]):
        raise CheckpointError(f"{file}: Adam's moments of '{name}' are damaged; delete the file to start anew")
    # Moments must lie in memory as their parameter does: the fused step walks over both alike.
    moments = {kind: torch.zeros_like(parameter, requires_grad=False).copy_(saved[kind]) for kind in _MOMENTS[1:]}
    fused = optimizer.defaults.get("fused") and parameter.device.type != "cpu"
    optimizer.state[parameter] = {"step": saved["step"].to(parameter.device if fused else "cpu"), **moments}
