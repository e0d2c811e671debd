"""Vela as a source: what it counts, what it leaves to the host, and how it fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ednas.arch import load_architecture
from ednas.exceptions import TargetError
from ednas.hw import Layer, LayerGraph, load_target, simulate, trace_network
from ednas.hw.sources import vela
from ednas.hw.sources.vela import ACCELERATORS, Vela
from ednas.hw.tflite.reader import load_tflite
from ednas.hw.tflite.writer import write_tflite


def network(factor: int = 2, op: str = "RESIZE_BILINEAR") -> LayerGraph:
    side = 16 * factor
    layers = (
        Layer("first", "network", "CONV_2D", (16, 16, 16), (16, 16, 16), weight_bytes=320, macs=65536),
        Layer("resize", "network", op, (16, 16, 16), (side, side, 16), inputs=(0,)),
        Layer("last", "network", "CONV_2D", (side, side, 16), (side, side, 8), weight_bytes=160, macs=1, inputs=(1,)),
    )
    return LayerGraph(layers, 16 * 16 * 16, side * side * 8)


@pytest.fixture(scope="module")
def _installed() -> None:
    pytest.importorskip("ethosu.vela")


@pytest.mark.usefixtures("_installed")
class TestCompiled:
    @pytest.mark.parametrize("accelerator", ["ethos-u55-256", "ethos-u65-512", "ethos-u85-1024"])
    def test_counts_all_layers(self, accelerator: str) -> None:
        cost = Vela(accelerator, fallback="refuse").cost(network())
        assert cost.target == f"vela:{accelerator}"
        assert cost.host_ms == 0
        assert cost.latency_ms == cost.accelerator_ms == pytest.approx(sum(layer.latency_ms for layer in cost.layers))
        assert {layer.where for layer in cost.layers} == {"accelerator"}
        assert all(0 <= (layer.utilisation or 0) <= 1 for layer in cost.layers)
        assert cost.parameter_bytes

    def test_is_the_same_again(self) -> None:
        assert Vela().cost(network()) == Vela().cost(network())

    def test_charges_the_host_for_what_it_gets(self) -> None:
        cost = Vela().cost(network(factor=4))
        (resize,) = [layer for layer in cost.layers if layer.where == "host"]
        element_ns = load_target("ethos_u55_256").host.element_ns.value
        assert resize.name == "resize"
        assert resize.latency_ms == pytest.approx(64 * 64 * 16 * element_ns * 1e-6)
        assert "scale-factor=4" in resize.reason
        assert cost.host_ms == resize.latency_ms
        assert cost.latency_ms == pytest.approx((cost.accelerator_ms or 0) + resize.latency_ms)
        assert "1 of 3 layers run on the host" in cost.notes[1]

    def test_refuses_a_network_with_operators_for_the_host(self) -> None:
        with pytest.raises(TargetError, match=r"the network: the host would run 1 .* 'resize\.1' .*scale-factor=4"):
            Vela(fallback="refuse").cost(network(factor=4))

    def test_the_newest_generation_resizes_by_four(self) -> None:
        assert Vela("ethos-u85-256").cost(network(factor=4)).host_ms == 0

    def test_refuses_a_network_in_floating_point(self, tmp_path: Path) -> None:
        path = tmp_path / "float.tflite"
        write_tflite(network(), path, dtype="float32")
        with pytest.raises(TargetError, match=r"float\.tflite: .* runs none of its operators, .*Float32.*quantise"):
            Vela().cost(load_tflite(path), path)

    @pytest.mark.slow
    @pytest.mark.parametrize("size", [(128, 256), (256, 512)])
    @pytest.mark.parametrize("name", ["ethos_u55_256", "ethos_u65_512", "ethos_u85_1024"])
    def test_a_built_in_target_is_near_what_it_stands_for(self, name: str, size: tuple[int, int]) -> None:
        graph = trace_network(load_architecture("base"), {"segmentation": 19, "depth": 1}, size)
        estimated = Vela(name.replace("_", "-")).cost(graph).latency_ms
        assert simulate(graph, load_target(name)).latency_ms == pytest.approx(estimated, rel=0.15)

    def test_cycles_are_those_of_computing(self) -> None:
        cost = Vela().cost(network())
        assert cost.accelerator_cycles == sum(layer.cycles or 0 for layer in cost.layers)
        assert 0 < cost.accelerator_cycles <= (cost.accelerator_ms or 0) * 500e3

    def test_needs_the_graph_of_the_file_to_charge(self, tmp_path: Path) -> None:
        path = tmp_path / "model.tflite"
        write_tflite(network(factor=4), path)
        with pytest.raises(TargetError, match=r"'resize\.1' .* give the graph of this very file"):
            Vela().cost(LayerGraph(network().layers[:1], 1, 1), path)

    def test_other_memories_give_another_latency(self) -> None:
        slow = Vela(system_config="Ethos_U55_Deep_Embedded", memory_mode="Shared_Sram").cost(network())
        assert slow.latency_ms > Vela().cost(network()).latency_ms

    def test_an_unknown_configuration_is_named(self) -> None:
        with pytest.raises(TargetError, match="System_Config.Mine not found"):
            Vela(system_config="Mine").cost(network())

    @pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 100, None])
    def test_a_damaged_file_is_an_error(self, tmp_path: Path, content: bytes | None) -> None:
        path = tmp_path / "model.tflite"
        if content is None:
            write_tflite(network(), path)
            content = path.read_bytes()[:700]
        path.write_bytes(content)
        with pytest.raises(TargetError, match=r"model\.tflite: Vela (ended|was killed)") as caught:
            Vela().cost(network(), path)
        assert "\n" not in str(caught.value)

    def test_a_compiler_that_hangs_is_an_error(self) -> None:
        with pytest.raises(TargetError, match=r"has not finished after 0\.01 s"):
            Vela(timeout_s=0.01).cost(network())

    def test_leaves_nothing_behind(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        limit = sys.getrecursionlimit()
        Vela().cost(network())
        assert not list(tmp_path.iterdir())
        assert sys.getrecursionlimit() == limit


def test_a_missing_file_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "find_spec", lambda name: name)
    with pytest.raises(TargetError, match=r"nowhere\.tflite: no such file"):
        Vela().cost(network(), Path("nowhere.tflite"))


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def find(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(vela, "find_spec", find)
    with pytest.raises(TargetError, match=r'pip install "ednas\[vela\]"'):
        Vela().cost(network())


def test_a_compiler_that_writes_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vela, "find_spec", lambda name: name)
    done = subprocess.CompletedProcess([], 0, stdout="", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(TargetError, match="Vela has written no estimate"):
        Vela().cost(network())


def test_an_unknown_accelerator_is_an_error() -> None:
    with pytest.raises(TargetError, match=r"no accelerator 'ethos-u55-255'; did you mean 'ethos-u55-256'\?"):
        Vela("ethos-u55-255")


def test_every_accelerator_has_a_source() -> None:
    assert [Vela(name).name for name in ACCELERATORS] == [f"vela:{name}" for name in ACCELERATORS]
