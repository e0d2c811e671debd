"""Which operators an accelerator runs itself, and what happens to the others."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from pydantic import Field, field_validator

from ednas.config import StrictModel
from ednas.exceptions import hint
from ednas.hw.graph import ops
from ednas.hw.graph.layers import FLOATS, Layer
from ednas.hw.model.figure import Count, PositiveFigure


class OperatorConfig(StrictModel):
    """What the accelerator's compiler maps.

    Attributes:
        supported: Operators that run on the accelerator; ``all`` for a processor that runs everything.
        dtypes: Types of elements that it computes.
        partition: ``once``: one part of the network is mapped, see :meth:`place`; ``per_operator``: all that map are.
        grouped_convolution: What a ``CONV_2D`` with groups does: ``supported``, ``host``, or ``rejected``: the compiler
            refuses the whole network.
        largest_arg_max: Channels of an ``ARG_MAX`` at the most, whose result may then have any type; None = any number.
        largest_resize: Largest factor of a resize; None = any.
        resize_factors: Factors that a resize may have, between sides or between sides less 1 (aligned corners); empty =
            any. A single pixel may be resized by any.
    """

    supported: tuple[str, ...] | Literal["all"]
    dtypes: tuple[str, ...] = ("int8", "uint8", "int16", "int32", "bool")
    partition: Literal["once", "per_operator"] = "once"
    grouped_convolution: Literal["supported", "host", "rejected"] = "supported"
    largest_arg_max: Count | None = None
    largest_resize: PositiveFigure | None = None
    resize_factors: tuple[float, ...] = Field(default=())

    @field_validator("supported")
    @classmethod
    def _check_names(cls, names: tuple[str, ...] | Literal["all"]) -> tuple[str, ...] | Literal["all"]:
        for name in () if names == "all" else names:
            if name not in ops.BUILTIN:
                raise ValueError(f"'{name}' is not a TFLite operator; {hint(name, ops.BUILTIN, 'use its name there')}")
        return names

    @cached_property
    def _mapped(self) -> frozenset[str]:
        return frozenset(ops.BUILTIN if self.supported == "all" else self.supported)

    @cached_property
    def _device(self) -> str:
        return "device" if self.supported == "all" else "accelerator"  # a processor, for example, is none

    def runs(self, op: str) -> bool:
        """Return whether the accelerator has an operator, whatever its shapes."""
        return op in self._mapped

    def obstacle(self, layer: Layer) -> str:
        """Return why the accelerator cannot run a layer; empty if it can."""
        if layer.op not in self._mapped:
            return f"{layer.label}: the {self._device} has no {layer.op}"
        if layer.op == "ARG_MAX" and self.largest_arg_max:
            return self._arg_max_obstacle(layer, self.largest_arg_max)
        if layer.dtype not in self.dtypes:
            return f"{layer.label}: computes {layer.dtype}, the {self._device} {', '.join(self.dtypes)}"
        if layer.reads_float and not any(dtype.startswith(FLOATS) for dtype in self.dtypes):
            return f"{layer.label}: reads floating-point numbers"
        if layer.groups > 1 and layer.op == "CONV_2D" and self.grouped_convolution != "supported":
            return f"{layer.label}: the {self._device} has no grouped convolution"
        if layer.op in ops.RESIZES:
            return self._resize_obstacle(layer)
        return ""

    def place(self, layers: Sequence[Layer], obstacles: Sequence[str]) -> list[str]:
        """Return for each layer why the host runs it; empty where the accelerator does.

        Where one part is mapped, the accelerator is called once: the host may run operators before that, and after
        it those that do not map and all that depend on them, whatever the order in which the layers stand.

        Args:
            layers: The layers; each reads only layers before it.
            obstacles: Why each cannot be mapped by itself; empty where it can.
        """
        if self.partition == "per_operator":
            return list(obstacles)
        reasons: list[str] = []
        behind: list[str] = []  # what on the host it comes after, once the accelerator has run
        for layer, obstacle in zip(layers, obstacles, strict=True):
            producers = [producer for producer in layer.inputs if producer >= 0]
            before = next((behind[producer] for producer in producers if behind[producer]), "")
            reasons.append(obstacle or (f"after {before}" if before else ""))
            is_first = all(reasons[producer] and not behind[producer] for producer in producers)
            behind.append("" if not reasons[-1] or (obstacle and is_first) else before or obstacle)
        return reasons

    def refusal(self, layers: Sequence[Layer]) -> str:
        """Return why the compiler refuses a whole network; empty if it does not."""
        if self.grouped_convolution == "rejected":
            for layer in layers:
                if layer.groups > 1 and layer.op == "CONV_2D":
                    return f"the compiler refuses the whole network: {layer.label} has {layer.groups} groups"
        return ""

    def _arg_max_obstacle(self, layer: Layer, largest: int) -> str:
        if layer.input[2] <= largest:
            return ""
        return f"{layer.label}: over {layer.input[2]} channels, the {self._device} takes up to {largest}"

    def _resize_obstacle(self, layer: Layer) -> str:
        sides = list(zip(layer.input[:2], layer.output[:2], strict=True))
        factors = [output / side for side, output in sides]
        if self.largest_resize and max(factors) > self.largest_resize.value:
            limit = self.largest_resize.value
            return f"{layer.label}: resizes by {max(factors):.3g}, the {self._device} by up to {limit:g}"
        if not self.resize_factors or all(side == 1 for side, _ in sides):
            return ""
        aligned = [(output - 1) / (side - 1) if side > 1 else output for side, output in sides]
        if any(all(factor in self.resize_factors for factor in form) for form in (factors, aligned)):
            return ""
        allowed = ", ".join(f"{factor:g}" for factor in self.resize_factors)
        return f"{layer.label}: resizes by {factors[0]:.3g} x {factors[1]:.3g}, the {self._device} by {allowed}"
