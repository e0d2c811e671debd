"""What all metrics of the built-in tasks have in common."""

from __future__ import annotations

import math

import pytest
import torch
from helpers.metric_batches import measure, random_batch
from helpers.profiles import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.metrics import METRICS
from ednas.tasks import DepthMetrics, NormalMetrics, SegmentationMetrics
from ednas.tasks.base import PROTOCOLS

MAKERS = {
    "segmentation": lambda protocol="standard": SegmentationMetrics(5, protocol),
    "depth": DepthMetrics,
    "normals": NormalMetrics,
}


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestEveryMetric:
    @settings(max_examples=examples(25))
    @given(data=st.data())
    def test_batches_of_any_size_give_the_same(self, name, protocol, data):
        images = data.draw(st.integers(1, 7))
        cuts = sorted(data.draw(st.sets(st.integers(1, max(1, images - 1)))))
        size = data.draw(st.sampled_from([(4, 6), (2, 3), (3, 4)]))
        prediction, target = random_batch(name, images, seed=data.draw(st.integers(0, 99)))
        prediction = F.interpolate(prediction, size=size)
        whole = measure(MAKERS[name](protocol), (prediction, target))
        bounds = list(zip([0, *cuts], [*cuts, images], strict=True))
        parts = [(prediction[a:b], target[a:b]) for a, b in bounds if b > a]
        metrics = MAKERS[name](protocol)
        assert measure(metrics, *parts) == pytest.approx(whole, rel=1e-9)
        again = MAKERS[name](protocol)
        again.update(prediction, target)
        assert (metrics.classes(), metrics.confusion()) == (again.classes(), again.confusion())

    def test_sums_of_two_processes_add_up(self, name, protocol):
        prediction, target = random_batch(name, 6)
        first, second, both = (MAKERS[name](protocol) for _ in range(3))
        first.update(prediction[:2], target[:2])
        second.update(prediction[2:], target[2:])
        both.sums = {key: first.sums[key] + second.sums[key] for key in first.sums}
        assert both.compute() == pytest.approx(measure(MAKERS[name](protocol), (prediction, target)))
        assert {value.dtype for value in both.sums.values()} <= {torch.int64, torch.float64}

    def test_reset_forgets(self, name, protocol):
        metrics = MAKERS[name](protocol)
        metrics.update(*random_batch(name, 2, seed=1))
        metrics.reset()
        batch = random_batch(name, 3, seed=2)
        assert measure(metrics, batch) == measure(MAKERS[name](protocol), batch)

    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    def test_predictions_that_are_not_finite_are_an_error(self, name, protocol, bad):
        prediction, target = random_batch(name, 2)
        prediction[1, 0, 2, 3] = bad
        with pytest.raises(TrainingError, match=f"{name}: 1 of "):
            MAKERS[name](protocol).update(prediction, target)

    def test_huge_predictions_are_finite(self, name, protocol):
        prediction, target = random_batch(name, 2)
        found = measure(MAKERS[name](protocol), (torch.full_like(prediction, 3e38), target))
        assert all(not math.isnan(value) for value in found.values())

    def test_nothing_valid_is_an_error(self, name, protocol):
        metrics = MAKERS[name](protocol)
        with pytest.raises(DataError, match="no valid label"):
            metrics.compute()
        prediction, target = random_batch(name, 2)
        metrics.update(prediction, torch.full_like(target, 255 if name == "segmentation" else 0))
        with pytest.raises(DataError, match="no valid label"):
            metrics.compute()

    def test_wrong_shapes_are_errors(self, name, protocol):
        prediction, target = random_batch(name, 2)
        with pytest.raises(TrainingError, match="expected"):
            MAKERS[name](protocol).update(prediction[:, :0], target)
        with pytest.raises(DataError, match="1 labels for 2"):
            MAKERS[name](protocol).update(prediction, target[:1])
        with pytest.raises(DataError, match="expected"):
            MAKERS[name](protocol).update(prediction, target[0])

    def test_directions_and_names_agree_with_scoring(self, name, protocol):
        metrics = MAKERS[name](protocol)
        found = measure(metrics, random_batch(name, 2))
        assert list(found) == list(metrics.higher_is_better)
        assert metrics.higher_is_better == {key: METRICS[key].higher_is_better for key in found}
        assert all(isinstance(value, float) and math.isfinite(value) for value in found.values())

    def test_half_precision_output(self, name, protocol):
        prediction, target = random_batch(name, 3)
        found = measure(MAKERS[name](protocol), (prediction.bfloat16(), target))
        assert found == measure(MAKERS[name](protocol), (prediction.bfloat16().float(), target))

    def test_gathers_no_gradient(self, name, protocol):
        prediction, target = random_batch(name, 2)
        metrics = MAKERS[name](protocol)
        metrics.update(prediction.requires_grad_(), target)
        assert not any(value.requires_grad for value in metrics.sums.values())

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda_equals_cpu(self, name, protocol):
        prediction, target = random_batch(name, 4)
        on_gpu = MAKERS[name](protocol)
        on_gpu.update(prediction.cuda(), target.cuda())
        assert on_gpu.compute() == pytest.approx(measure(MAKERS[name](protocol), (prediction, target)), rel=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_unknown_protocol(name):
    with pytest.raises(ConfigError, match="did you mean 'adashare'"):
        MAKERS[name]("adashar")
