"""Built-in procedural data: ray-cast streets and rooms with exact labels, in numpy, without any download.

- :class:`SyntheticDataset`: the scenes as a dataset.
- :func:`render`, :func:`render_scene`: one scene as a sample.
- :func:`describe_scene`, :func:`mirrored`, :func:`trace`: the geometry behind a sample, to recompute its labels.

Modules, from the bottom: ``primitives`` (solids), ``camera``, ``textures``, ``scene`` (plain data), ``tracing`` (what
rays meet), ``shading`` (light), ``dice`` and ``builder`` (random construction), ``streets`` and ``rooms`` (what is
built), ``rendering``, ``dataset``.
"""

from ednas.data.synthetic.camera import Camera
from ednas.data.synthetic.classes import Indoor, Street, class_names
from ednas.data.synthetic.dataset import SyntheticDataset
from ednas.data.synthetic.primitives import Primitive, Primitives, Shape
from ednas.data.synthetic.rendering import SCENES, TARGETS, describe_scene, disparity_scale, render, render_scene
from ednas.data.synthetic.scene import Scene, mirrored
from ednas.data.synthetic.tracing import Hits, trace

__all__ = [
    "SCENES",
    "TARGETS",
    "Camera",
    "Hits",
    "Indoor",
    "Primitive",
    "Primitives",
    "Scene",
    "Shape",
    "Street",
    "SyntheticDataset",
    "class_names",
    "describe_scene",
    "disparity_scale",
    "mirrored",
    "render",
    "render_scene",
    "trace",
]
