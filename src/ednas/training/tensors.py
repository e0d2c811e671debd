"""Safetensors files: written atomically, read with one clear error for whatever is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from ednas.exceptions import CheckpointError
from ednas.files import atomic_path

_NOTES = "ednas"


def write_tensors(path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, Any] | None = None) -> None:
    """Write named tensors, and optionally JSON values beside them, in one file that appears whole or not at all.

    Raises:
        EdnasError: The place cannot be written.
    """
    content = save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={_NOTES: json.dumps(dict(notes or {}))},
    )
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what :func:`write_tensors` wrote; nothing is unpickled.

    The tensors are mapped: their content is read, and takes memory, only when they are copied, as :func:`load_into`
    does after its checks. What is kept must be a copy, since a mapped tensor changes with the file and holds it open.

    Raises:
        CheckpointError: The file is missing, truncated, no safetensors file, or its notes are damaged.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            notes = json.loads((file.metadata() or {}).get(_NOTES, "{}"))
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as cause:
        reason = " ".join(str(cause).split())[:120]
        raise CheckpointError(f"{path}: not a whole safetensors file ({reason}); is it truncated?") from cause
    if not isinstance(notes, dict):
        raise CheckpointError(f"{path}: its notes are no JSON object; the file is damaged")
    return tensors, notes


def load_into(module: torch.nn.Module, tensors: Mapping[str, Tensor], where: object) -> None:
    """Copy tensors into a module's parameters and buffers, all of which must be there with the right shape and type.

    Raises:
        CheckpointError: A tensor is missing, left over, of another shape or type, or not finite; nothing was copied.
    """
    own = module.state_dict()
    for name in own:
        if name not in tensors:
            raise CheckpointError(f"{where}: tensor '{name}' is missing; the file belongs to another network")
    for name, tensor in tensors.items():
        if name not in own:
            raise CheckpointError(f"{where}: tensor '{name}' has no place; the file belongs to another network")
        if tensor.shape != own[name].shape or tensor.dtype != own[name].dtype:
            raise CheckpointError(
                f"{where}: tensor '{name}' is {_describe(tensor)}, expected {_describe(own[name])}; "
                "the file belongs to another network"
            )
    check_finite(tensors, where)
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def check_finite(tensors: Mapping[str, Tensor], where: object) -> None:
    """Refuse weights that would predict nothing but NaN.

    Raises:
        CheckpointError: A tensor holds a number that is NaN or infinite; names the tensor.
    """
    for name, tensor in tensors.items():
        bad = tensor.numel() - int(torch.isfinite(tensor).sum())
        if bad:
            raise CheckpointError(
                f"{where}: tensor '{name}' is NaN or infinite in {bad} of {tensor.numel()} numbers; "
                "its training diverged, or the file is damaged: train again, or take an earlier checkpoint"
            )


def _describe(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
