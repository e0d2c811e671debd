"""What is measured on a split: alike for any batch size, by protocol, in tiles, on the samples that have labels."""

import pytest
from helpers.small_training import LABELLED, only

from ednas.exceptions import ConfigError
from ednas.training import (
    Tiling,
    evaluate,
    prepare,
)


def test_the_result_does_not_depend_on_the_batch_size_of_evaluation(config):
    model, _, val = prepare(config)
    model.network.train()
    first = evaluate(model, val, batch_size=1)
    assert model.network.training  # as it was, so that a run can be measured in the middle
    second = evaluate(model, val, batch_size=3, device="cpu")
    assert first["samples"] == 4
    for task, values in first["tasks"].items():
        assert values == pytest.approx(second["tasks"][task], rel=1e-5)


def test_tiles_are_measured_and_recorded(config):
    model, _, val = prepare(config)
    whole = evaluate(model, val)
    as_one = evaluate(model, val, tiling=Tiling(val.size))
    assert (as_one.pop("tile"), as_one.pop("overlap")) == (list(val.size), 0.25)
    assert as_one.pop("tasks") == {task: pytest.approx(values) for task, values in whole.pop("tasks").items()}
    assert as_one == whole
    tiled = evaluate(model, val, tiling=Tiling((32, 32), 0.5), batch_size=2)
    assert (tiled["tile"], tiled["overlap"], tiled["input_size"]) == ([32, 32], 0.5, list(val.size))
    assert tiled["samples"] == len(val)


def test_protocols_differ(config):
    model, _, val = prepare(config)
    standard, adashare = (evaluate(model, val, protocol) for protocol in ("standard", "adashare"))
    assert (standard["protocol"], adashare["protocol"]) == ("standard", "adashare")
    assert standard["tasks"] != adashare["tasks"]
    with pytest.raises(ConfigError, match="did you mean 'adashare'"):
        evaluate(model, val, "adashar")


@pytest.mark.parametrize("protocol", ["standard", "adashare"])
@pytest.mark.parametrize("task", ["segmentation", "depth"])
def test_metrics_are_those_of_the_labelled_samples(build, partial_split, task, protocol):
    model = build((task,))
    found = evaluate(model, partial_split, protocol, batch_size=3)
    expected = evaluate(model, only(partial_split, LABELLED[task]), protocol)
    assert found["tasks"][task] == pytest.approx(expected["tasks"][task], rel=1e-5)
    if task == "segmentation":
        assert found["confusion"] == expected["confusion"]
