"""Small datasets in the exact format of every reader, made from known scenes."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml
from PIL import Image

from ednas.data.classes import CITYSCAPES_TRAIN_IDS
from ednas.data.formats import open_dataset

HEIGHT, WIDTH = 12, 16
COUNTS = {"train": 3, "val": 2}


@dataclass
class Scene:
    """What a reader should give back."""

    image: np.ndarray
    segmentation: np.ndarray
    depth: np.ndarray
    normals: np.ndarray


def make_scene(seed: int, num_classes: int) -> Scene:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, (HEIGHT, WIDTH)).astype(np.uint8)
    labels[0, : min(num_classes, WIDTH)] = np.arange(min(num_classes, WIDTH))
    labels[0, -1] = num_classes - 1
    labels[3:5, 2:6] = 255
    depth = rng.uniform(0.5, 9.0, (HEIGHT, WIDTH)).astype(np.float32)
    depth[7, 3:9] = 0
    normals = rng.normal(size=(HEIGHT, WIDTH, 3)) + np.array([0.5, -0.2, -4.0])
    normals[..., 2] = -np.abs(normals[..., 2])
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True)
    normals[2, 1:4] = 0
    image = rng.integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    return Scene(image, labels, depth, normals.astype(np.float32))


@dataclass
class Made:
    """A dataset on disk and what it holds."""

    path: Path
    format: str
    scenes: dict[str, list[Scene]]
    targets: dict[str, str]
    depth_tolerance: float = 1e-4
    normal_tolerance: float = 1e-3
    options: dict[str, Any] = field(default_factory=dict)


def _scenes(num_classes: int) -> dict[str, list[Scene]]:
    return {
        split: [make_scene(100 * n + i, num_classes) for i in range(COUNTS[split])] for n, split in enumerate(COUNTS)
    }


def save_png(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(values)).save(path)


def save_npy(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)


def _minus_one(labels: np.ndarray, dtype: Any) -> np.ndarray:
    return np.where(labels == 255, -1, labels.astype(int)).astype(dtype)


def _disparity(depth: np.ndarray) -> np.ndarray:
    """Stored 16-bit disparities whose p / 65535 is unique to each depth."""
    return np.where(depth > 0, np.rint(2000 / np.maximum(depth, 0.1)) + 2, 0).astype(np.uint16)


def _with_disparity(scenes: dict[str, list[Scene]]) -> dict[str, list[Scene]]:
    for split in scenes.values():
        for scene in split:
            scene.depth = (_disparity(scene.depth) / 65535).astype(np.float32)
    return scenes


def make_adashare_cityscapes(root: Path, num_classes: int = 19) -> Made:
    scenes = _with_disparity(_scenes(num_classes))
    index: dict[str, list[list[str]]] = {}
    for split, theirs in (("train", "train"), ("val", "test")):
        rows = []
        for i, scene in enumerate(scenes[split]):
            parts = ("image", "depth", "label_2", "label_7", "label_19")
            row = [f"{split}/{part}/{i}.npy" for part in parts]
            save_npy(root / row[0], scene.image.astype(np.float32) / 255)
            depth = scene.depth.copy()
            depth[depth == 0] = 1 / 65535  # p = 1: below the threshold of validity
            save_npy(root / row[1], depth[..., None].astype(np.float32))
            for label in row[2:]:
                save_npy(root / label, _minus_one(scene.segmentation % (int(label.split("_")[1].split("/")[0])), int))
            used = row[4] if num_classes == 19 else row[3]
            save_npy(root / used, _minus_one(scene.segmentation, np.int64))
            rows.append(row)
        index[theirs] = rows
    index["train1"], index["train2"] = index["train"][:2], index["train"][2:]
    (root / "cityscape.json").write_text(json.dumps(index))
    return Made(root, "adashare_cityscapes", scenes, {"segmentation": "labels", "depth": "disparity"}, 1e-7)


def make_adashare_nyuv2(root: Path) -> Made:
    scenes = _scenes(40)
    index: dict[str, list[list[str]]] = {}
    for split, theirs in (("train", "train"), ("val", "test")):
        rows = []
        for i, scene in enumerate(scenes[split]):
            row = [f"{part}/{split}{i}.png" for part in ("img", "seg", "normal_mask")] + [f"depth/{split}{i}.npy"]
            save_png(root / row[0], scene.image)
            save_png(root / row[1], scene.segmentation)
            x, y, z = np.moveaxis(scene.normals, -1, 0)
            colours = np.rint((np.stack([x, z, -y], -1) + 1) * 127.5).astype(np.uint8)  # R right, G forward, B up
            colours[2, 1:3] = 255
            colours[2, 3] = 127
            save_png(root / row[2], colours)
            save_npy(root / row[3], scene.depth)
            rows.append(row)
        index[theirs] = rows
    (root / "nyu_v2_3task.json").write_text(json.dumps(index))
    targets = {"segmentation": "labels", "depth": "distance", "normals": "normals"}
    return Made(root, "adashare_nyuv2", scenes, targets, normal_tolerance=0.012)


def make_mtan_nyuv2(root: Path) -> Made:
    scenes = _scenes(13)
    for split, rows in scenes.items():
        for i, scene in enumerate(rows):
            x, y, z = np.moveaxis(scene.normals, -1, 0)
            save_npy(root / split / "image" / f"{i}.npy", scene.image / 255.0)
            save_npy(root / split / "label" / f"{i}.npy", _minus_one(scene.segmentation, np.float32))
            save_npy(root / split / "depth" / f"{i}.npy", scene.depth[..., None])
            save_npy(root / split / "normal" / f"{i}.npy", np.stack([x, z, -y], -1))
    return Made(root, "mtan", scenes, {"segmentation": "labels", "depth": "distance", "normals": "normals"})


def make_mtan_cityscapes(root: Path, num_classes: int = 7, folder: str = "label") -> Made:
    scenes = _with_disparity(_scenes(num_classes))
    for split, rows in scenes.items():
        for i, scene in enumerate(rows):
            save_npy(root / split / "image" / f"{i}.npy", scene.image.astype(np.float32) / 255)
            save_npy(root / split / folder / f"{i}.npy", _minus_one(scene.segmentation, np.float32))
            save_npy(root / split / "depth" / f"{i}.npy", scene.depth[..., None])
    return Made(root, "mtan", scenes, {"segmentation": "labels", "depth": "disparity"}, 1e-7)


def make_cityscapes(root: Path) -> Made:
    scenes = _scenes(19)
    stored = {train: raw for raw, train in CITYSCAPES_TRAIN_IDS.items()}
    camera = {"intrinsic": {"fx": 2262.5}, "extrinsic": {"baseline": 0.22}}
    for split, rows in scenes.items():
        for i, scene in enumerate(rows):
            name = f"ulm/ulm_{i:06d}_000019"
            table = np.array([stored.get(k, 4) for k in range(256)], np.uint8)
            save_png(root / "leftImg8bit" / split / f"{name}_leftImg8bit.png", scene.image)
            save_png(root / "gtFine" / split / f"{name}_gtFine_labelIds.png", table[scene.segmentation])
            save_png(root / "disparity" / split / f"{name}_disparity.png", _disparity(scene.depth))
            path = root / "camera" / split / f"{name}_camera.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(camera))
    return Made(root, "cityscapes", _with_disparity(scenes), {"segmentation": "labels", "depth": "disparity"}, 1e-7)


def make_nyuv2(root: Path) -> Made:
    """The MATLAB file with its axes reversed, 100 object classes on 40, and images in mixed order over the splits."""
    scenes = _scenes(40)
    numbers = {"train": [5, 1, 3], "val": [2, 4]}
    class_map = [k % 41 for k in range(1, 101)]  # 41, 82: void
    images = np.zeros((5, 3, WIDTH, HEIGHT), np.uint8)
    depths = np.zeros((5, WIDTH, HEIGHT), np.float32)
    labels = np.zeros((5, WIDTH, HEIGHT), np.uint16)
    for split, rows in scenes.items():
        for number, scene in zip(numbers[split], rows, strict=True):
            images[number - 1] = scene.image.transpose(2, 1, 0)
            depths[number - 1] = scene.depth.T
            stored = np.where(scene.segmentation == 255, 0, scene.segmentation.astype(int) + 1)
            stored[1] += np.where(stored[1] > 0, 41, 0)  # another object class of the same class
            stored[4, 2:6] = 41
            labels[number - 1] = stored.T
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w", userblock_size=512) as file:
        for name, values in (("images", images), ("depths", depths), ("rawDepths", depths / 2), ("labels", labels)):
            file.create_dataset(name, data=values, compression="gzip", chunks=(1, *values.shape[1:]))
    (root / "class_map.json").write_text(json.dumps(class_map))
    (root / "splits.json").write_text(json.dumps({"train": numbers["train"], "test": numbers["val"]}))
    return Made(root, "nyuv2", scenes, {"segmentation": "labels", "depth": "distance"})


FOLDER_YAML: dict[str, Any] = {
    "name": "mine",
    "root": "pictures",
    "image": "{split}/image/{id}.png",
    "splits": {"train": "train", "val": "holdout"},
    "targets": {
        "segmentation": {
            "kind": "labels",
            "path": "{split}/label/{id}_ids.png",
            "num_classes": 5,
            "void": [0, 255],
            "id_map": {10: 0, 20: 1, 30: 2, 40: 3, 50: 4},
        },
        "depth": {"kind": "distance", "path": "{split}/depth/{id}.png", "scale": 0.001, "invalid": 65535},
        "normals": {
            "kind": "normals",
            "path": "{split}/normal/{id}.png",
            "axes": ["-b", "r", "g"],
            "invalid": [[255, 255, 255]],
        },
    },
}


def make_folder(root: Path) -> Made:
    scenes = _scenes(5)
    for split, rows in scenes.items():
        base = root / "pictures" / {"train": "train", "val": "holdout"}[split]
        for i, scene in enumerate(rows):
            save_png(base / "image" / f"{i}.png", scene.image)
            ids = np.where(scene.segmentation == 255, 0, (scene.segmentation.astype(int) + 1) * 10)
            save_png(base / "label" / f"{i}_ids.png", ids.astype(np.uint8))
            depth = np.where(scene.depth > 0, np.rint(scene.depth * 1000), 65535)
            save_png(base / "depth" / f"{i}.png", depth.astype(np.uint16))
            x, y, z = np.moveaxis(scene.normals, -1, 0)
            colours = np.rint((np.stack([y, z, -x], -1) + 1) * 127.5).astype(np.uint8)
            colours[2, 1:4] = 255
            save_png(base / "normal" / f"{i}.png", colours)
    (root / "dataset.yaml").write_text(yaml.safe_dump(FOLDER_YAML))
    targets = {"segmentation": "labels", "depth": "distance", "normals": "normals"}
    return Made(root, "folder", scenes, targets, 6e-4, 0.012)


MAKERS: dict[str, Callable[[Path], Made]] = {
    "adashare_cityscapes": make_adashare_cityscapes,
    "adashare_nyuv2": make_adashare_nyuv2,
    "mtan_nyuv2": make_mtan_nyuv2,
    "mtan_cityscapes": make_mtan_cityscapes,
    "cityscapes": make_cityscapes,
    "nyuv2": make_nyuv2,
    "folder": make_folder,
}


def change_description(folder: Path, /, **changes: Any) -> Path:
    """Rewrite dataset.yaml; ``a__b=value`` sets a.b, None removes it."""
    path = folder / "dataset.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in changes.items():
        *parents, last = key.split("__")
        place = config
        for parent in parents:
            place = place[parent]
        if value is None:
            place.pop(last, None)
        else:
            place[last] = value
    path.write_text(yaml.safe_dump(config))
    return path


def sources(path: Path, split: str) -> list[str]:
    dataset = open_dataset(path, split)
    return [dataset.source(i) for i in range(len(dataset))]
