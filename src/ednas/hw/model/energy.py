"""Energy of an inference and area of an accelerator, from the cost of single operations.

    energy = MACs * mac + on-chip bytes * on-chip + off-chip bytes * off-chip          each layer on the accelerator
             + time * host's power                                                      each layer on the host
             + link bytes * link + time of the inference * idle power                   once

    area = (multipliers * mac area + KiB of on-chip memory * area per KiB) * overhead

Both are sums, so the figures of a network's layers add up to the network's. They rank networks and, less surely,
accelerators; they are no measurement, and a target says by what factor its energies may be wrong. Single operations
are published for few technologies. What surrounds a multiplier (registers, wires, control) is in ``mac_pj`` by one rule
for all built-in accelerators: the arithmetic at 45 nm (Horowitz, ISSCC 2014), in proportion to the technology, times
4.3, which is what a Coral takes at its peak (2 W for 4 TOPS) over its arithmetic. Every figure says where it is from.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ednas.config import StrictModel
from ednas.hw.model.figure import Figure, PositiveFigure

_MJ_PER_PJ = 1e-9
_MJ_PER_MW_MS = 1e-3
_MM2_PER_UM2 = 1e-6
_REFERENCE_BITS = 8


class UncertaintyFactor(Figure):
    """By what factor a figure may be wrong; at least 1."""

    value: Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)]


class EnergyConfig(StrictModel):
    """What operations cost.

    Attributes:
        mac_pj: A multiplication of 8-bit integers and its addition to a 32-bit sum, pJ.
        on_chip_pj_per_byte: A byte between on-chip memory and multipliers, pJ.
        off_chip_pj_per_byte: A byte to or from off-chip memory, pJ.
        link_pj_per_byte: A byte over the link between host and accelerator, pJ.
        idle_mw: Power of the accelerator during a whole inference whatever it computes: leakage, clock, interfaces, mW.
        host_mw: Power of the host while it computes layers, mW.
        uncertainty: The energy is thought to lie between the sum divided by this and the sum times it.
    """

    mac_pj: Figure
    on_chip_pj_per_byte: Figure
    off_chip_pj_per_byte: Figure
    link_pj_per_byte: Figure
    idle_mw: Figure
    host_mw: Figure
    uncertainty: UncertaintyFactor

    def layer_mj(self, macs: int, on_chip_bytes: int, off_chip_bytes: int, mac_bits: int = 8) -> float:
        """Return what a layer on the accelerator adds to an inference's energy, mJ.

        Args:
            macs: Its multiply-accumulates.
            on_chip_bytes: Bytes between on-chip memory and multipliers.
            off_chip_bytes: Bytes to and from off-chip memory: streamed parameters, spilled activations.
            mac_bits: Bits of an operand. A multiplier's energy grows with their square: at 45 nm a multiplication and
                an addition of float32 cost 15 times, of float16 5 times the 8-bit integer ones (Horowitz, ISSCC
                2014), the rule gives 16 and 4.
        """
        mac_pj = self.mac_pj.value * (mac_bits / _REFERENCE_BITS) ** 2
        on_chip_pj = on_chip_bytes * self.on_chip_pj_per_byte.value
        off_chip_pj = off_chip_bytes * self.off_chip_pj_per_byte.value
        return (macs * mac_pj + on_chip_pj + off_chip_pj) * _MJ_PER_PJ

    def host_mj(self, host_ms: float) -> float:
        """Return what a layer that takes the host ``host_ms`` adds to an inference's energy, mJ."""
        return host_ms * self.host_mw.value * _MJ_PER_MW_MS

    def fixed_mj(self, link_bytes: int, latency_ms: float) -> float:
        """Return what belongs to no layer, mJ.

        Args:
            link_bytes: Bytes over the link: inputs, outputs, instructions.
            latency_ms: Time of the whole inference.
        """
        link_mj = link_bytes * self.link_pj_per_byte.value * _MJ_PER_PJ
        return link_mj + latency_ms * self.idle_mw.value * _MJ_PER_MW_MS


class OverheadFactor(Figure):
    """How much larger a whole is than the parts that are counted; at least 1."""

    value: Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)]


class AreaConfig(StrictModel):
    """What the accelerator's parts take.

    Attributes:
        technology_nm: The technology that the areas are for, nm.
        mac_um2: A multiplier with its adder and registers, square micrometres.
        on_chip_um2_per_kib: A KiB of on-chip memory, square micrometres.
        overhead_factor: The whole accelerator over its multipliers and memory: control, vector unit, interfaces, gaps.
        shared_kib: On-chip memory that it shares with others, beside that of the section ``memory``, KiB.
    """

    technology_nm: PositiveFigure
    mac_um2: PositiveFigure
    on_chip_um2_per_kib: PositiveFigure
    overhead_factor: OverheadFactor
    shared_kib: Figure | None = None

    def area_mm2(self, *, macs_per_cycle: int, on_chip_kib: float) -> float:
        """Return the accelerator's area, square millimetres.

        Args:
            macs_per_cycle: Its multipliers.
            on_chip_kib: Its own on-chip memory, KiB.
        """
        memory_kib = on_chip_kib + (self.shared_kib.value if self.shared_kib else 0.0)
        parts_um2 = macs_per_cycle * self.mac_um2.value + memory_kib * self.on_chip_um2_per_kib.value
        return parts_um2 * self.overhead_factor.value * _MM2_PER_UM2
