"""Calibration finds constants that made the measurements, and says how well it predicts what it has not seen."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from ednas.arch import SearchSpace, zoo
from ednas.exceptions import TargetError
from ednas.hw import LayerGraph, Target, load_target, simulate, trace_network
from ednas.hw.targets.calibration import Sample, calibrate, fit, mape, replace_figures, spearman

CORAL = load_target("coral_usb")
HEADS = {"segmentation": 19, "depth": 1}
SPACE = SearchSpace(zoo.architecture("base"))


def changed(**values: float) -> Target:
    figures = CORAL.figures()
    return replace_figures(
        CORAL, {path: figures[path].model_copy(update={"value": value}) for path, value in values.items()}
    )


def measured(target: Target, count: int = 8, noise: float = 0.0) -> list[Sample]:
    generator = random.Random(1)
    samples = []
    for index in range(count):
        genes = [generator.randrange(len(decision.candidates)) for decision in SPACE.decisions]
        size = (64 * (1 + index % 4), 128)
        graph = trace_network(SPACE.decode(genes), HEADS, size)
        latency = simulate(graph, target).latency_ms * (1 + noise * generator.uniform(-1, 1))
        samples.append(Sample(f"network {index}", graph, latency))
    return samples


@pytest.mark.slow
def test_the_constants_of_the_device_are_found() -> None:
    device = changed(**{"link.bandwidth_mb_per_s": 200.0, "link.dispatch_ms": 1.5})
    result = calibrate(CORAL, measured(device))
    assert result.target.link.bandwidth_mb_per_s.value == pytest.approx(200, rel=0.05)
    assert result.target.link.dispatch_ms.value == pytest.approx(1.5, rel=0.02)
    assert result.fitted_mape < 0.005
    assert result.held_out_mape < 0.01
    assert set(result.changes) == {"link.bandwidth_mb_per_s", "link.dispatch_ms"}
    assert result.target.name == "coral_usb_calibrated"
    assert result.target.link.dispatch_ms.provenance == "measured"
    assert result.target.engine == CORAL.engine


@pytest.mark.slow
def test_the_error_of_left_out_rows_is_not_below_the_noise_of_the_fit() -> None:
    result = calibrate(CORAL, measured(CORAL, noise=0.2))
    assert result.held_out_mape > result.fitted_mape > 0.02
    assert len(result.split_mape) == 5
    for row, sample in zip(result.rows, measured(CORAL, noise=0.2), strict=True):
        assert (row.name, row.measured_ms) == (sample.name, sample.latency_ms)
        assert row.fitted_ms == sample.predicted_ms(result.target)
        assert row.held_out_ms != row.fitted_ms


def test_a_constant_on_which_nothing_depends_stays_as_it_was() -> None:
    samples = measured(CORAL, 3)
    alone = [LayerGraph((replace(layer, inputs=(-1,)),), 0, 0) for layer in samples[0].graph.layers[:4]]
    layers = [Sample("layer", graph, 1.0 + number, is_layer=True) for number, graph in enumerate(alone)]
    with pytest.raises(TargetError, match=r"no measurement depends on a free constant .*a layer's time holds no link"):
        calibrate(CORAL, layers)
    figures = CORAL.figures()
    free = figures["host.element_ns"].model_copy(update={"fit": True})
    target = replace_figures(CORAL, {"host.element_ns": free})
    assert all(simulate(sample.graph, target).host_ms == 0 for sample in samples)
    result = calibrate(target, samples)
    assert result.target.host.element_ns == free
    assert set(result.changes) == {"link.bandwidth_mb_per_s", "link.dispatch_ms"}
    assert [warning.partition(":")[0] for warning in result.warnings] == ["host.element_ns"]


@pytest.mark.slow
def test_a_fit_at_its_bound_is_told() -> None:
    samples = [replace(sample, latency_ms=1000 * sample.latency_ms) for sample in measured(CORAL, 3)]
    result = calibrate(CORAL, samples)
    for path, (old, new) in result.changes.items():
        is_bound = new / old > 95 or old / new > 95
        assert any(warning.startswith(path) for warning in result.warnings) == is_bound
        assert result.target.figures()[path].provenance == ("assumed" if is_bound else "measured")
    assert result.warnings
    assert calibrate(CORAL, measured(CORAL, 3)).warnings == ()


def test_measurements_of_one_network_may_differ_but_not_contradict() -> None:
    first, second = measured(CORAL, 2)
    again = replace(first, latency_ms=1.2 * first.latency_ms)
    assert calibrate(CORAL, [first, again, second]).warnings == ()
    with pytest.raises(TargetError, match="2 measurements of 1 network are too few for 2 free constants"):
        calibrate(CORAL, [first, again])
    wrong = replace(first, latency_ms=1e5)
    with pytest.raises(TargetError, match=r"network 0: measured as .* ms and as 100000 ms, .* factor of 3"):
        calibrate(CORAL, [first, second, wrong])


def test_progress_counts_every_fit() -> None:
    seen: list[tuple[int, int]] = []
    calibrate(CORAL, measured(CORAL, 3), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 9) for done in range(1, 10)]  # all, three left out, five halves


def test_layers_are_compared_without_dispatch() -> None:
    graph = trace_network(zoo.architecture("base"), HEADS, (64, 64))
    whole, layer = Sample("a", graph, 1.0), Sample("a", graph, 1.0, is_layer=True)
    cost = simulate(graph, CORAL)
    assert whole.predicted_ms(CORAL) == cost.latency_ms
    assert layer.predicted_ms(CORAL) == pytest.approx(cost.accelerator_ms)


def test_what_cannot_be_fitted_is_refused() -> None:
    samples = measured(CORAL, 2)
    with pytest.raises(TargetError, match="1 measurements are too few for 2 free constants"):
        calibrate(CORAL, samples[:1])
    fixed = {path: figure.model_copy(update={"fit": False}) for path, figure in CORAL.figures().items()}
    with pytest.raises(TargetError, match="no figure is marked 'fit: true'"):
        calibrate(replace_figures(CORAL, fixed), samples)
    with pytest.raises(TargetError, match=r"link\.dispatch_ms is 0 and free"):
        calibrate(changed(**{"link.dispatch_ms": 0.0}), samples)
    with pytest.raises(TargetError, match="network 0: latency is 0.0 ms, must be above 0"):
        calibrate(CORAL, [Sample("network 0", samples[0].graph, 0.0), samples[1]])


def test_the_errors_are_the_textbooks() -> None:
    assert mape([1.1, 1.8], [1.0, 2.0]) == pytest.approx(0.1)
    assert spearman([1, 2, 3], [10, 20, 21]) == pytest.approx(1)
    assert spearman([3, 2, 1], [10, 20, 21]) == pytest.approx(-1)


def test_a_constant_stays_the_nearer_to_its_value_the_less_devices_differ_in_it() -> None:
    core = load_target("cpu_ncnn_fp32")
    path = "engine.store_macs"
    figures = core.figures()
    device = replace_figures(core, {path: figures[path].model_copy(update={"value": 3 * figures[path].value})})
    samples = measured(device, 3)

    def fitted(spread: float) -> float:
        start = replace_figures(core, {path: figures[path].model_copy(update={"spread": spread})})
        return fit(start, samples).figures()[path].value / figures[path].value

    assert 1 <= fitted(0.02) < fitted(0.3) < fitted(2.0) <= 3.1


@pytest.mark.parametrize("factor", [1 / 30, 1 / 2.7, 0.5, 40])
@pytest.mark.parametrize("is_alone", [True, False])
def test_a_target_far_away_comes_to_the_device(factor: float, is_alone: bool) -> None:
    core = load_target("cpu_ncnn_fp32")
    path = "engine.mac_cycles"
    figures = core.figures()
    if is_alone:
        core = replace_figures(
            core, {key: figure.model_copy(update={"fit": key == path}) for key, figure in figures.items()}
        )
    value = factor * figures[path].value
    device = replace_figures(core, {path: figures[path].model_copy(update={"value": value})})
    assert fit(core, measured(device, 3)).figures()[path].value == pytest.approx(value, rel=0.02)


def test_more_networks_than_constants_are_needed_only_where_their_spread_is_not_known() -> None:
    core = load_target("cpu_ncnn_fp32")
    result = calibrate(core, measured(core, 4))
    assert result.error is not None
    assert result.error.networks == 4
    assert result.error.low <= 1 <= result.error.high
    assert calibrate(core, measured(core, 2)).error is None
    with pytest.raises(TargetError, match="measurements of 1 network: 2 are needed at least"):
        calibrate(core, measured(core, 1))
    known = {path: figure.model_copy(update={"spread": None}) for path, figure in core.figures().items() if figure.fit}
    with pytest.raises(TargetError, match="too few"):
        calibrate(replace_figures(core, known), measured(core, 4))
