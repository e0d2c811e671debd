import copy
import dataclasses
import math

import numpy as np
import pytest
import torch
from helpers.small_training import SIZE, TARGETS, small_architecture, write_dataset
from torch.nn.utils.fusion import fuse_conv_bn_weights

from ednas.data import TargetInfo, open_cache, open_dataset
from ednas.data.loader import BatchLoader, load_samples
from ednas.exceptions import ConfigError, DataError, TrainingError
from ednas.export.qat import Int8Network, RoundedConv, RoundedTensor, finetune, round_tensor, round_weight
from ednas.nn.blocks import SeparableConv
from ednas.training import Recipe, build_model, evaluate, fit, load_checkpoint, save_checkpoint
from ednas.training.model import normalise

TASKS = ("segmentation", "depth")


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """Training and validation split of the tiny dataset."""
    root = tmp_path_factory.mktemp("qat")
    file = write_dataset(root / "data")
    return [open_cache(open_dataset(str(file), split), SIZE, root / "cache") for split in ("train", "val")]


def train_plainly(model, split, steps, learning_rate):
    """Train in place, without a thought of int8."""
    recipe = Recipe(steps=steps, batch_size=6, learning_rate=learning_rate, warmup_steps=20, augment=None)
    fit(model.network, model.tasks, BatchLoader(split, 6, 0, None, sorted(model.targets)), recipe, device="cpu")
    model.network.eval()


def make_model(splits, steps):
    model = build_model(small_architecture(), TASKS, TARGETS, input_size=SIZE, dataset="tiny")
    train_plainly(model, splits[0], steps, 1e-2)
    return model.with_training(steps=steps, seed=0)


@pytest.fixture(scope="module")
def trained(splits):
    """A small model after its first steps."""
    return make_model(splits, 20)


@pytest.fixture(scope="module")
def learned(splits):
    """One that has learned the tiny dataset, and has channels of very different sizes before 1x1 convolutions.

    What it computes is what it would compute with channels of one size.
    """
    model = make_model(splits, 400)
    before = losses(model, splits)
    with torch.no_grad():
        for module in model.network.heads.modules():
            if isinstance(module, SeparableConv):
                factors = 2 ** torch.linspace(0, 5, module[0].out_channels)
                module[0].weight.mul_(factors.view(-1, 1, 1, 1))
                module[1].weight.div_(factors.view(1, -1, 1, 1))
    np.testing.assert_allclose(losses(model, splits), before, rtol=1e-2)
    return model


def after_quantisation(model, splits):
    """Metrics in int8, calibrated on the training split."""
    int8 = Int8Network(copy.deepcopy(model.network), SIZE).eval()
    int8.calibrate(normalise(load_samples(splits[0], range(6))["image"], model.normalisation))
    return losses(dataclasses.replace(model, network=int8), splits)


def losses(model, splits):
    """What is wrong with a model: 1 - pixel accuracy, and the error of the depth. Of the samples it was trained on."""
    tasks = evaluate(model, splits[0])["tasks"]
    return np.array([1 - tasks["segmentation"]["pixel_acc"] / 100, tasks["depth"]["abs_err"]])


def rounded(network):
    return [module for module in network.modules() if isinstance(module, RoundedTensor)]


@pytest.mark.parametrize("seed", range(3))
def test_weights_are_rounded_as_the_quantiser_does(seed):
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(seed)) * 10.0 ** torch.arange(-2, 3).view(
        5, 1, 1, 1
    )
    values = weight.double().numpy()
    scale = np.abs(values).max((1, 2, 3), keepdims=True) / 127
    expected = np.clip(np.rint(values / scale), -127, 127) * scale
    np.testing.assert_allclose(round_weight(weight).numpy(), expected, rtol=1e-5)


def test_an_empty_channel_stays_empty():
    assert not round_weight(torch.zeros(2, 3, 1, 1)).any()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (2.0, 6.0), (-5.0, -1.0), (-0.3, 700.0)])
def test_tensors_are_rounded_as_the_quantiser_does(low, high):
    x = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * (high - low) * 1.2 + low
    bottom, top = min(low, 0.0), max(high, 0.0)
    scale = (top - bottom) / 255
    zero_point = np.rint(-128 - bottom / scale)
    levels = np.clip(np.rint(x.double().numpy() / scale) + zero_point, -128, 127)
    expected = (levels - zero_point) * scale
    found = round_tensor(x, torch.tensor(low), torch.tensor(high))
    # A value half-way between two levels may go to either.
    assert np.isclose(found.numpy(), expected, rtol=1e-5, atol=1e-6 * scale).mean() > 0.99
    np.testing.assert_allclose(found.numpy(), expected, atol=scale * 1.001)
    assert round_tensor(torch.zeros(1), torch.tensor(low), torch.tensor(high)) == 0


def test_gradients_pass_the_rounding():
    weight = torch.randn(4, 2, 3, 3, requires_grad=True)
    factor = torch.randn(4, 2, 3, 3)
    (round_weight(weight) * factor).sum().backward()
    assert torch.equal(weight.grad, factor)
    x = torch.tensor([-3.0, -1.0, 0.5, 2.0, 9.0], requires_grad=True)
    round_tensor(x, torch.tensor(-2.0), torch.tensor(4.0)).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


@pytest.mark.slow
def test_every_parameter_gets_a_gradient(trained):
    int8 = Int8Network(copy.deepcopy(trained.network), SIZE).train()
    outputs = int8(torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0)))
    sum(output.square().mean() for output in outputs.values()).backward()
    assert sum(1 for _ in int8.parameters()) == sum(1 for _ in trained.network.parameters())
    assert all(parameter.grad is not None for parameter in int8.parameters())


@pytest.mark.slow
def test_without_rounding_nothing_changes(trained):
    network = copy.deepcopy(trained.network)
    int8 = Int8Network(network, SIZE).eval()
    for module in int8.modules():
        if isinstance(module, RoundedConv | RoundedTensor):
            module.rounding = False
    image = torch.randn(3, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for task, output in network(image).items():
            torch.testing.assert_close(int8(image)[task], output, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_batch_normalisation_is_folded(trained):
    network = trained.network
    convs = {conv.weight: conv for conv in Int8Network(network, SIZE).modules() if isinstance(conv, RoundedConv)}
    stem, norm, _ = network.encoder.stages[0][0]
    expected = fuse_conv_bn_weights(
        stem.weight, None, norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias
    )
    for found, value in zip(convs[stem.weight].folded(), expected, strict=True):
        torch.testing.assert_close(found, value)


@pytest.mark.slow
def test_every_operator_is_rounded_once(trained):
    network = trained.network
    additions = []
    calls = sum(isinstance(module, torch.nn.Conv2d) for module in network.modules())

    class Count(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function in (torch.Tensor.add, torch.Tensor.__add__):
                additions.append(function)
            return function(*args, **(kwargs or {}))

    with Count():
        network.predict_heads(torch.zeros(1, 3, *SIZE))
    assert len(rounded(Int8Network(network, SIZE))) == 1 + calls + len(additions)


@pytest.mark.slow
def test_outputs_have_256_values(trained, splits):
    int8 = Int8Network(trained.network, SIZE).eval()
    image = normalise(load_samples(splits[0], range(6))["image"], trained.normalisation)
    int8.calibrate(image)
    with torch.no_grad():
        heads = int8._graph(image)
    for output in heads:
        assert 2 < len(output.unique()) <= 256


@pytest.mark.slow
def test_calibration_keeps_the_widest_range(trained):
    int8 = Int8Network(trained.network, SIZE).eval()
    for factor in (1.0, 3.0, 0.5):
        int8.calibrate(torch.linspace(-factor, 2 * factor, 3 * math.prod(SIZE)).view(1, 3, *SIZE))
    first = rounded(int8)[0]
    assert (first.low.item(), first.high.item()) == (-3, 6)


@pytest.mark.slow
def test_fine_tuning_recovers_what_quantisation_costs(learned, splits):
    before = losses(learned, splits)
    cost = np.log(after_quantisation(learned, splits) / before)
    assert (cost > 0.05).all()
    tuned = finetune(learned, splits[0], steps=300, learning_rate=1e-3, batch_size=6, augment=None, device="cpu")
    in_int8 = after_quantisation(tuned, splits)
    assert (np.log(in_int8 / before) < 0.5 * cost).all()
    # It is the rounding that does it: as many steps without it end in a network that int8 spoils.
    plain = dataclasses.replace(learned, network=copy.deepcopy(learned.network))
    train_plainly(plain, splits[0], 300, 1e-3)
    assert (after_quantisation(plain, splits) > 1.05 * in_int8).all()


@pytest.mark.slow
def test_the_result_is_an_ordinary_model(trained, splits, tmp_path):
    weights = {name: value.clone() for name, value in trained.network.state_dict().items()}
    tuned = finetune(trained, splits[0], steps=2, batch_size=2, device="cpu")
    assert type(tuned.network) is type(trained.network)
    assert not tuned.network.training
    assert tuned.steps == trained.steps + 2
    loaded = load_checkpoint(save_checkpoint(tmp_path / "checkpoint", tuned))
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        for task, output in tuned.forward(image).items():
            assert torch.equal(loaded.forward(image)[task], output)
    for name, value in trained.network.state_dict().items():
        assert torch.equal(value, weights[name]), "the model that was given has changed"
        if "running" in name:
            assert torch.equal(tuned.network.state_dict()[name], value)


@pytest.mark.slow
def test_the_result_follows_from_the_seed(trained, splits):
    first, second, other = (
        finetune(trained, splits[0], steps=3, batch_size=2, seed=seed, device="cpu").network.state_dict()
        for seed in (0, 0, 1)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.slow
def test_progress_is_told(trained, splits):
    told = []
    finetune(trained, splits[0], steps=12, batch_size=2, device="cpu", progress=told.append)
    assert [(report.step, report.steps) for report in told] == [(10, 12), (12, 12)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "steps"),
        ({"steps": 5, "batch_size": 1}, "batch_size"),
        ({"steps": 5, "learning_rate": -1.0}, "learning_rate"),
        ({"steps": 5, "loss_weights": {"dept": 1.0}}, "depth"),
        ({"steps": 5, "device": "abacus"}, "abacus"),
    ],
)
def test_senseless_settings_are_refused(trained, splits, options, words):
    with pytest.raises(ConfigError, match=words) as error:
        finetune(trained, splits[0], **{"device": "cpu", **options})
    assert "\n" not in str(error.value)


def test_data_without_a_target_are_refused(trained, splits):
    info = dataclasses.replace(splits[0].info, targets={"segmentation": TARGETS["segmentation"]})
    with pytest.raises(DataError, match="no target 'depth'"):
        finetune(trained, dataclasses.replace(splits[0], info=info), steps=2, device="cpu")


def test_other_classes_are_refused(trained, splits):
    targets = {**TARGETS, "segmentation": TargetInfo("labels", 7)}
    info = dataclasses.replace(splits[0].info, targets=targets)
    with pytest.raises(DataError, match="another segmentation than the dataset has: num_classes 4, not 7"):
        finetune(trained, dataclasses.replace(splits[0], info=info), steps=2, device="cpu")


@pytest.mark.slow
def test_a_diverging_loss_is_an_error(trained, splits):
    with pytest.raises(TrainingError, match=r"step \d+: the loss of task"):
        finetune(trained, splits[0], steps=10, learning_rate=1e30, batch_size=2, device="cpu")
