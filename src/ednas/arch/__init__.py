"""Architectures as data: blocks, named networks, and the search space."""

from ednas.arch.files import load_architecture, read_facts, save_architecture, stored_input_size
from ednas.arch.space import Decision, SearchSpace, SpaceConfig, StageConfig
from ednas.arch.spec import Architecture, Block, Plan

__all__ = [
    "Architecture",
    "Block",
    "Decision",
    "Plan",
    "SearchSpace",
    "SpaceConfig",
    "StageConfig",
    "load_architecture",
    "read_facts",
    "save_architecture",
    "stored_input_size",
]
