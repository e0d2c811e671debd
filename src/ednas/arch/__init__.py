"""Architectures as data: blocks, named networks, and the search space."""

from ednas.arch.files import load_architecture, save_architecture
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
    "save_architecture",
]
