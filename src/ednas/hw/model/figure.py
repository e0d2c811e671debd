"""Numbers of the hardware that say where they come from."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ednas.config import StrictModel


class Figure(StrictModel):
    """A number of the hardware.

    Attributes:
        value: The number, in the unit that the key names; never negative.
        provenance: ``measured`` (on the hardware, or decoded from what its compiler writes), ``published`` (by the
            vendor, or in its public source) or ``assumed``.
        source: Where it comes from, for people.
        fit: Whether calibration may change it.
        spread: By how much it differs among devices of the kind: standard deviation of its logarithm. The smaller, the
            nearer to ``value`` calibration leaves it. None = not known; calibration then leaves it free.
    """

    value: Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
    provenance: Literal["measured", "published", "assumed"]
    source: Annotated[str, Field(min_length=1)]
    fit: bool = False
    spread: Annotated[float, Field(gt=0, le=3, strict=True, allow_inf_nan=False)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_explained(cls, content: Any) -> Any:
        if isinstance(content, (int, float)):
            form = f"{{value: {content}, provenance: measured | published | assumed, source: ...}}"
            raise ValueError(f"a number of the hardware says where it comes from: write {form}")
        return content


class PositiveFigure(Figure):
    """A number that must not be 0 either."""

    value: Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]


Count = Annotated[int, Field(ge=1, le=1 << 20, strict=True)]
"""A number of identical parts of the hardware."""
