"""A trained supernet in its file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from torch import Tensor

from ednas.arch import Architecture
from ednas.config import StrictModel
from ednas.data.sample import TargetInfo
from ednas.exceptions import CheckpointError
from ednas.nn import MultiTaskNetwork
from ednas.nn.supernet import cut
from ednas.training.config import Normalisation
from ednas.training.tensors import read_tensors

FILE = "supernet.safetensors"
"""The trained supernet, in its folder."""


class SupernetNotes(StrictModel):
    """What a supernet's file says beside its tensors.

    Attributes:
        identity: What decided its weights.
        cpu_seconds: Processor time of its training, after it was last broken off.
        heads: Output channels by task.
        targets: What they predict, by task.
        normalisation: What happens to an image before it.
    """

    identity: Mapping[str, Any]
    cpu_seconds: float
    heads: Mapping[str, int]
    targets: Mapping[str, TargetInfo]
    normalisation: Normalisation


@dataclass(frozen=True)
class TrainedSupernet:
    """A supernet's file, read.

    Attributes:
        tensors: Mapped, not read: a network that is cut out takes what it needs.
        notes: What the file says of them.
    """

    tensors: Mapping[str, Tensor]
    notes: SupernetNotes

    @classmethod
    def load(cls, folder: Path) -> TrainedSupernet:
        """Read a supernet's folder.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        file = folder / FILE
        tensors, notes = read_tensors(file)
        try:
            return cls(tensors, SupernetNotes.model_validate(notes))
        except ValidationError as error:
            reason = f"{error.error_count()} wrong notes"
            raise CheckpointError(f"{file}: is no supernet, or of another version ({reason})") from None

    def cut(self, architecture: Architecture) -> MultiTaskNetwork:
        """Return a network of its own with the supernet's weights; its batch statistics are still to be measured.

        Raises:
            ArchitectureError: It is not in the space that the supernet was made for.
        """
        return cut(self.tensors, architecture, self.notes.heads)
