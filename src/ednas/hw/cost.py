"""What one inference costs, wherever the figures come from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

from ednas.hw.quantities import QUANTITIES


class LayerCost(NamedTuple):
    """What one layer costs; what a source does not tell is None.

    Attributes:
        name: The layer's name.
        scope: The part of the network that it belongs to.
        op: Its operator.
        where: Whether the accelerator or the host runs it.
        bound_by: What its time consists of: ``compute``, ``on-chip traffic``, ``parameters`` (their streaming),
            ``activations`` (their spilling) or ``host``.
        latency_ms: Its time.
        compute_ms: Time of its cycles; 0 on the host.
        cycles: Cycles in which the accelerator computes it, without those in which it only waits for memory.
        macs: Multiply-accumulates.
        utilisation: Share of the accelerator's multipliers that are busy during its cycles, 0 to 1.
        on_chip_bytes: Bytes moved between on-chip memory and array.
        parameter_bytes: Its parameters in the device's layout; as the network's file holds them where no device's is
            known.
        streamed_bytes: How many of them do not fit on the chip and are sent at each inference.
        spilled_bytes: Bytes of activations that it writes to or reads from off-chip memory.
        energy_mj: Its energy without what the device draws at rest; None where the target does not say.
        reason: Why the host runs it; empty on the accelerator.
    """

    name: str
    scope: str
    op: str
    where: Literal["accelerator", "host"]
    bound_by: Literal["compute", "on-chip traffic", "parameters", "activations", "host"] | None = None
    latency_ms: float = 0.0
    compute_ms: float | None = None
    cycles: int | None = None
    macs: int = 0
    utilisation: float | None = None
    on_chip_bytes: int | None = None
    parameter_bytes: int | None = None
    streamed_bytes: int | None = None
    spilled_bytes: int | None = None
    energy_mj: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class Cost:
    """What one inference costs; what a source does not tell is None.

    Where all parts are known, ``latency_ms = dispatch_ms + transfer_ms + accelerator_ms + host_ms``.

    Attributes:
        target: Where it comes from: the target's name, or the source's, for example ``litert``.
        latency_ms: Time of one inference.
        latency_p10_ms: Less than this it is with a probability of a tenth, judged by networks of its kind that were
            compared; None where none were.
        latency_p90_ms: More than this it is with a probability of a tenth.
        accelerator_cycles: Cycles in which the accelerator computes, without those in which it only waits for memory:
            the sum of the layers' ``cycles``, whatever the source. Time is in ``accelerator_ms``.
        dispatch_ms: Fixed time of a call.
        transfer_ms: Time to send input and instructions and to receive the outputs.
        accelerator_ms: Time of the layers on the accelerator, with what is streamed and spilled.
        host_ms: Time of the layers on the host.
        parameter_bytes: Parameters of the accelerator's layers in its layout; as the network's file holds them where
            no device's layout is known.
        streamed_bytes: Those that do not fit on the chip.
        spilled_bytes: Bytes of activations that are written to or read from off-chip memory.
        instruction_bytes: Size of the instruction stream.
        peak_memory_kb: Memory in KiB. Simulated: most bytes of activations that exist at once, the least arena of a
            runtime that keeps whole tensors; Vela: the SRAM that it allocates; LiteRT: what loading and running the
            network adds to a process, its weights among it.
        energy_mj: Energy of one inference; None where the target does not say what an operation costs.
        area_mm2: Silicon area of the accelerator; None where the target does not say.
        notes: What to know about the figures, for people.
        layers: The layers, in the order of execution; empty where only the whole was measured.
    """

    target: str
    latency_ms: float
    latency_p10_ms: float | None = None
    latency_p90_ms: float | None = None
    accelerator_cycles: int | None = None
    dispatch_ms: float | None = None
    transfer_ms: float | None = None
    accelerator_ms: float | None = None
    host_ms: float | None = None
    parameter_bytes: int | None = None
    streamed_bytes: int | None = None
    spilled_bytes: int | None = None
    instruction_bytes: int | None = None
    peak_memory_kb: float | None = None
    energy_mj: float | None = None
    area_mm2: float | None = None
    notes: tuple[str, ...] = ()
    layers: tuple[LayerCost, ...] = ()

    def quantities(self) -> dict[str, float]:
        """Return those of :data:`~ednas.hw.quantities.QUANTITIES` that are known."""
        return {name: value for name in QUANTITIES if (value := getattr(self, name, None)) is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return what ``ednas latency --json`` prints."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return values | {"layers": [layer._asdict() for layer in self.layers]}
