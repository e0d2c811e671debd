"""Sources of latency: the simulator, compilers, this computer, a device, a table of measurements."""

from ednas.hw.sources.base import Simulated, Source, load_source, register_source, source_names

__all__ = ["Simulated", "Source", "load_source", "register_source", "source_names"]
