"""A small batch source and small data on disk for the tests of training."""

from __future__ import annotations

import numpy as np
import torch
import yaml
from PIL import Image

from ednas.arch import Architecture, InvertedBottleneck, zoo
from ednas.data import TargetInfo

SIZE = (32, 64)
TARGETS = {
    "segmentation": TargetInfo("labels", 4, ("road", "car", "tree", "sky")),
    "depth": TargetInfo("distance", unit="m"),
    "normals": TargetInfo("normals"),
}


LABELLED = {"segmentation": [0, 1], "depth": [1, 2, 3], "normals": []}
"""Which samples of a batch or a split of 4 have a label, where not all have."""


def only(split, rows):
    """The samples of a split with these rows."""
    return split.select(np.isin(split.rows, rows), split.split)


def small_architecture() -> Architecture:
    strides = [block.stride for block in zoo.architecture("base").blocks]
    blocks = tuple(InvertedBottleneck(stride=stride, expand_ratio=2, filters=8) for stride in strides)
    return Architecture(blocks, stem_filters=8, bifpn_width=8, bifpn_depth=1, name="small")


PATTERNS = {
    "adashare": "policy=segmentation:1111111101011111|depth:1110111111011110|normals:1111111101011111",
    "den": "levels=segmentation:3333312301033333|depth:3330332213023330|normals:3333312301033333",
}
"""What could be learned of the small network or the base: the last task's is the first's, and nobody runs block 10."""


def settled(sharing: str, tasks: tuple[str, ...]) -> str:
    """A way to share by these tasks, with its pattern where it would learn one."""
    if sharing not in PATTERNS:
        return sharing
    key, _, pattern = PATTERNS[sharing].partition("=")
    return f"{sharing}({key}={'|'.join(part for part in pattern.split('|') if part.split(':')[0] in tasks)})"


def make_batch(seed: int = 0, samples: int = 4) -> dict[str, torch.Tensor]:
    """A batch whose labels follow from its pixels, so that they can be learned."""
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 4, (samples, SIZE[0] // 8, SIZE[1] // 8), generator=generator)
    classes = classes.repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = torch.stack([classes / 4, (classes % 2).float(), 1 - classes / 4], 1)
    normals = torch.zeros(samples, 3, *SIZE)
    normals[:, 2] = -1
    return {
        "image": image.contiguous(memory_format=torch.channels_last),
        "segmentation": classes,
        "depth": (1 + classes.float()).unsqueeze(1),
        "normals": normals,
    }


class Batches:
    """A source of batches: that of step t is a function of t, as the loader's is."""

    def __init__(self, change=None, repeat=False):
        self.change = change
        self.repeat = repeat
        self.asked: list[int] = []

    def stream(self, start, stop):
        for step in range(start, stop):
            self.asked.append(step)
            batch = make_batch(0 if self.repeat else step)
            if self.change is not None:
                self.change(step, batch)
            yield step, batch


def double_width(step, batch):
    """Change a batch: every image stands beside itself."""
    batch.update({name: torch.cat([values, values], -1) for name, values in batch.items()})


class Stop(Exception):
    """Raised by a callback, as if the process were broken off."""


def stop_at(step, error=Stop):
    """A callback that ends a run after a step."""

    def callback(report):
        if report.step >= step:
            raise error

    return callback


def with_recipe(config, **values):
    """The same configuration with other values in its recipe."""
    return config.model_copy(update={"recipe": config.recipe.model_copy(update=values)})


def assert_same_weights(first, second):
    """Two networks are equal bit for bit."""
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


def write_dataset(root):
    """Write 6 training and 4 validation samples with three targets; return the dataset.yaml."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 4)):
        for part in ("image", "segmentation", "depth", "normals"):
            (root / split / part).mkdir(parents=True)
        for index in range(count):
            classes = rng.integers(0, 4, (4, 8)).repeat(8, 0).repeat(8, 1).astype(np.uint8)
            normals = np.zeros((*SIZE, 3), np.float32)
            normals[..., 2] = -1
            image = np.stack([60 * classes, 255 - 60 * classes, classes], -1).astype(np.uint8)
            Image.fromarray(image).save(root / split / "image" / f"{index}.png")
            Image.fromarray(classes).save(root / split / "segmentation" / f"{index}.png")
            np.save(root / split / "depth" / f"{index}.npy", 1 + classes.astype(np.float32))
            np.save(root / split / "normals" / f"{index}.npy", normals)
    description = {
        "name": "tiny",
        "image": "{split}/image/{id}.png",
        "splits": {"train": "train", "val": "val"},
        "targets": {
            "segmentation": {
                "kind": "labels",
                "path": "{split}/segmentation/{id}.png",
                "num_classes": 4,
                "class_names": ["road", "car", "tree", "sky"],
            },
            "depth": {"kind": "distance", "path": "{split}/depth/{id}.npy"},
            "normals": {"kind": "normals", "path": "{split}/normals/{id}.npy"},
        },
    }
    file = root / "dataset.yaml"
    file.write_text(yaml.safe_dump(description))
    return file
