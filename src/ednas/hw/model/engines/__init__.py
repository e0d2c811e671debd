"""Engines: the models of the arrays and processors that compute layers."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from ednas.hw.model.engines.base import Engine, Work
from ednas.hw.model.engines.cpu import Cpu
from ednas.hw.model.engines.ethos_u import EthosU
from ednas.hw.model.engines.ncnn import Ncnn
from ednas.hw.model.engines.systolic import SystolicArray
from ednas.hw.model.engines.tiled_simd import TiledSimd

AnyEngine: TypeAlias = Annotated[TiledSimd | SystolicArray | EthosU | Cpu | Ncnn, Field(discriminator="kind")]
"""The ``engine`` section of a target; ``kind`` tells which."""

__all__ = ["AnyEngine", "Cpu", "Engine", "EthosU", "Ncnn", "SystolicArray", "TiledSimd", "Work"]
