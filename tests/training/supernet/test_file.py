"""A supernet's file is read whole or not at all."""

from __future__ import annotations

import pytest
import torch

from ednas.exceptions import CheckpointError
from ednas.training.supernet.file import FILE, TrainedSupernet
from ednas.training.tensors import write_tensors


def test_what_is_no_supernet_is_one_line(tmp_path):
    with pytest.raises(CheckpointError, match="no such file"):
        TrainedSupernet.load(tmp_path)
    write_tensors(tmp_path / FILE, {"a": torch.zeros(2)}, {"identity": {}})
    with pytest.raises(CheckpointError, match="is no supernet, or of another version"):
        TrainedSupernet.load(tmp_path)
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:20])
    with pytest.raises(CheckpointError, match="truncated"):
        TrainedSupernet.load(tmp_path)
