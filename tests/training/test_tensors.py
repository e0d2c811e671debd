"""Files of tensors: others read them alike, and what is wrong with one is one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from ednas.exceptions import CheckpointError
from ednas.training.tensors import load_into, read_tensors, write_tensors

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "count": torch.tensor(7)}


def test_others_read_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write_tensors(path, TENSORS, {"step": 5})
    with safe_open(path, framework="pt") as file:
        assert {name: file.get_tensor(name).tolist() for name in file.keys()} == {  # noqa: SIM118
            name: tensor.tolist() for name, tensor in TENSORS.items()
        }
        assert json.loads(file.metadata()["ednas"]) == {"step": 5}


def test_what_others_write_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path)
    tensors, notes = read_tensors(path)
    assert notes == {}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in TENSORS.items())


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    with pytest.raises(CheckpointError, match="no such file"):
        read_tensors(path)
    save_file(TENSORS, path, metadata={"ednas": "[1]"})
    with pytest.raises(CheckpointError, match="notes are no JSON object"):
        read_tensors(path)
    content = path.read_bytes()
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="is it truncated"):
            read_tensors(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bias": None}, "'bias' is missing"),
        ({"more": torch.zeros(1)}, "'more' has no place"),
        ({"bias": torch.zeros(3)}, r"'bias' is float32 \(3,\), expected float32 \(2,\)"),
        ({"bias": torch.zeros(2, dtype=torch.float64)}, "'bias' is float64"),
        ({"bias": torch.tensor([0.0, float("nan")])}, "'bias' is NaN or infinite in 1 of 2 numbers"),
    ],
)
def test_nothing_is_copied_where_anything_is_wrong(change: dict[str, torch.Tensor | None], said: str) -> None:
    module = nn.Linear(3, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    new = {"weight": torch.ones(2, 3), "bias": torch.ones(2), **change}
    with pytest.raises(CheckpointError, match=said):
        load_into(module, {name: tensor for name, tensor in new.items() if tensor is not None}, "file")
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    load_into(module, {"weight": torch.ones(2, 3), "bias": torch.ones(2)}, "file")
    assert all(bool((tensor == 1).all()) for tensor in module.state_dict().values())
