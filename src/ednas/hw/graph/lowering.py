"""What torch computes, as TFLite layers: every aten operator of a forward pass is recorded on meta tensors.

Nothing is computed: only shapes are followed. What is added is what the TFLite conversion adds: batch normalisation is
folded into the convolution before it, an activation is fused into its producer, and padding that neither TFLite's SAME
nor VALID can express becomes a ``PAD`` of its own.

Shapes are those that torch gives, but for the most frequent operators: torch's own meta kernels of these take up to ten
milliseconds each, and the first one imports sympy, which takes a third of a second (:func:`_result_shape`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ednas.exceptions import TargetError
from ednas.hw.graph.layers import BIAS_BYTES, Layer, Piece, Shape, sides_text

_CLAMPS = {(0.0, 6.0): "RELU6", (-1.0, 1.0): "RELU_N1_TO_1", (0.0, 1.0): "RELU_0_TO_1"}
_SHAPE_PRESERVING = {
    "relu": "RELU",
    "relu6": "RELU6",
    "sigmoid": "LOGISTIC",
    "tanh": "TANH",
    "hardswish": "HARD_SWISH",
    "leaky_relu": "LEAKY_RELU",
    "elu": "ELU",
    "gelu": "GELU",
    "exp": "EXP",
    "log": "LOG",
    "sqrt": "SQRT",
    "rsqrt": "RSQRT",
    "abs": "ABS",
    "neg": "NEG",
    "_prelu_kernel": "PRELU",
    "_softmax": "SOFTMAX",
    "_log_softmax": "LOG_SOFTMAX",
    "softmax": "SOFTMAX",
    "log_softmax": "LOG_SOFTMAX",
}
"""Operators whose output has the shape of their first input."""

_SIMPLE = {
    "add": "ADD",
    "sub": "SUB",
    "mul": "MUL",
    "div": "DIV",
    "pow": "POW",
    "maximum": "MAXIMUM",
    "minimum": "MINIMUM",
    "mean": "MEAN",
    "sum": "SUM",
    "amax": "REDUCE_MAX",
    "amin": "REDUCE_MIN",
    "argmax": "ARG_MAX",
    "argmin": "ARG_MIN",
    "cat": "CONCATENATION",
    "stack": "PACK",
    "slice": "STRIDED_SLICE",
    "select": "STRIDED_SLICE",
    "split": "SPLIT",
    "split_with_sizes": "SPLIT_V",
    "unbind": "UNPACK",
    "t": "TRANSPOSE",
    "transpose": "TRANSPOSE",
    "permute": "TRANSPOSE",
    "pixel_shuffle": "DEPTH_TO_SPACE",
    "pixel_unshuffle": "SPACE_TO_DEPTH",
    "constant_pad_nd": "PAD",
    "reflection_pad2d": "MIRROR_PAD",
    "upsample_nearest2d": "RESIZE_NEAREST_NEIGHBOR",
    "_upsample_nearest_exact2d": "RESIZE_NEAREST_NEIGHBOR",
    "upsample_bilinear2d": "RESIZE_BILINEAR",
}
"""Operators without weights, window or multiply-accumulates."""

# fmt: off
_ALIASES = frozenset({
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "expand", "alias", "detach", "clone",
    "contiguous", "_to_copy", "lift_fresh",
})
# fmt: on
"""Operators that move nothing: their output is their input under another shape."""

_BATCH_NORMS = frozenset({"native_batch_norm", "_native_batch_norm_legit_no_training", "batch_norm"})
_NOTHING = torch.empty(0, device="meta")
_BATCH_NORM = "BATCH_NORM"
"""Stands in the record until :func:`_fuse` folds it or, if it stands alone, writes it as ``MUL`` and ``ADD``."""

_CONVOLUTION = "convolution"
_MAX_POOL = "max_pool2d_with_indices"
_PLAIN_RESIZES = frozenset({"upsample_nearest2d", "upsample_bilinear2d"})

_FOLDABLE = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"})
_FUSED_ACTIVATIONS = frozenset({"RELU", "RELU6", "RELU_N1_TO_1"})
_TAKES_ACTIVATION = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "SUB", "MUL"})


def trace(
    module: nn.Module,
    call: Callable[..., Any],
    input_shapes: Sequence[tuple[int, ...]],
    scope: str | None = None,
) -> Piece:
    """Record what ``call`` computes on meta tensors.

    Args:
        module: The module on the meta device, in evaluation mode; its parts name the layers.
        call: What to run, for example the module; gets one tensor for each of ``input_shapes``.
        input_shapes: Shapes of the inputs, ``(1, C, H, W)``.
        scope: Scope of the layers; None = the first part of each module's path.

    Raises:
        TargetError: torch rejects the shapes, or an operator has no TFLite counterpart here; the message names it.
    """
    inputs = [torch.empty(shape, device="meta") for shape in input_shapes]
    recorder = _Recorder(inputs, scope)
    with torch.no_grad(), ExitStack() as stack:
        for path, part in module.named_modules():
            stack.enter_context(part.register_forward_pre_hook(recorder.enter(path)))
            stack.enter_context(part.register_forward_hook(recorder.leave))
        stack.enter_context(recorder)
        try:
            result = call(*inputs)
        except (RuntimeError, ValueError, TypeError, IndexError) as cause:
            shapes = ", ".join(map(sides_text, input_shapes))
            reason = " ".join(str(cause).split())[:200]
            raise TargetError(f"{recorder.where}: cannot run on an input of {shapes}: {reason}") from cause
    tensors = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor) and id(leaf) in recorder.producers]
    layers, outputs = _fuse(recorder.layers, [recorder.producers[id(tensor)] for tensor in tensors])
    params = sum(parameter.numel() for parameter in module.parameters())
    return Piece(tuple(layers), tuple(outputs), tuple(tuple(tensor.shape) for tensor in tensors), params)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down a layer for every operator that depends on the inputs.

    Args:
        inputs: The tensors that count as inputs 0, 1, ...; their producers are -1, -2, ...
        scope: As in :func:`trace`.
    """

    def __init__(self, inputs: Sequence[Tensor], scope: str | None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.layers: list[Layer] = []
        self.producers = {id(tensor): -1 - number for number, tensor in enumerate(inputs)}
        self._scope = scope
        self._alive: list[Tensor] = list(inputs)  # ids are unique only among living tensors
        self._path: list[str] = [""]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keep torch from wrapping :meth:`__torch_dispatch__`: the wrapper imports its compiler, for half a second."""
        return False

    def enter(self, path: str) -> Callable[..., None]:
        """Return a hook that notes that the module at ``path`` begins."""
        return lambda *_: self._path.append(path)

    def leave(self, *_: Any) -> None:
        """Note that a module ends."""
        self._path.pop()

    @property
    def where(self) -> str:
        """How an error message names the module that is running."""
        return f"module '{self._path[-1]}'" if self._path[-1] else "the network"

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        sources = [tensor for tensor in _tensors(args) if id(tensor) in self.producers]
        if not sources:
            return func(*args, **kwargs)
        overload: str = func.overloadpacket.__name__
        name = overload.removesuffix("_")
        if name in _SHAPE_PRESERVING or name in _BATCH_NORMS or name in ("hardtanh", "silu"):
            result = args[0] if overload.endswith("_") else args[0].new_empty(args[0].shape)
            self._record_shape_preserving(name, args, sources)
            self._produced([result])
            return (result, _NOTHING, _NOTHING) if name in _BATCH_NORMS else result
        shape = _result_shape(overload, args, sources)
        if shape is None:
            result = func(*args, **kwargs)
        else:
            result = sources[0].new_empty(shape)
            if name == _MAX_POOL:
                result = (result, _NOTHING)
        outputs = _tensors((result,))
        if name in _ALIASES:
            self._produced(outputs, self.producers[id(sources[0])])
            return result
        record = _RECORDS.get(name)
        if record is not None:
            record(self, args, sources, outputs[0])
        elif name in _SIMPLE:
            self.add(_SIMPLE[name], sources, outputs[0])
        else:
            raise TargetError(f"{self.where}: aten.{name} has no TFLite counterpart in the cost model; replace it")
        self._produced(outputs)
        return result

    def add(self, op: str, sources: Sequence[Tensor], result: Tensor, **fields: Any) -> None:
        """Write down a layer that maps ``sources`` to ``result``; ``fields`` are further fields of :class:`Layer`."""
        path = self._path[-1]
        shape = self.shape(result)
        defaults: dict[str, Any] = {
            "name": path or op.lower(),
            "scope": path.partition(".")[0] if self._scope is None else self._scope,
            "op": op,
            "input": shape if op == "CONCATENATION" else self.shape(sources[0]),
            "output": shape,
            "inputs": tuple([self.producers[id(source)] for source in sources]),
        }
        self.layers.append(Layer(**{**defaults, **fields}))

    def shape(self, tensor: Tensor) -> Shape:
        """Return height, width and channels of ``(1, C, H, W)``, ``(1, W, C)`` or ``(1, C)``."""
        if tensor.ndim > 4:
            raise TargetError(f"{self.where}: a tensor has {tensor.ndim} dimensions, the cost model knows up to 4")
        if tensor.ndim == 4:
            _, channels, height, width = tensor.shape
            return height, width, channels
        sides = tuple(tensor.shape[1:])
        return (1, 1, 1, *sides)[-3:]  # type: ignore[return-value]

    def _produced(self, outputs: Sequence[Tensor], producer: int | None = None) -> None:
        for output in outputs:
            self.producers[id(output)] = len(self.layers) - 1 if producer is None else producer
        self._alive.extend(outputs)

    def _record_shape_preserving(self, name: str, args: tuple[Any, ...], sources: Sequence[Tensor]) -> None:
        x = sources[0]
        if name in _BATCH_NORMS:
            self.add(_BATCH_NORM, [x], x)
        elif name == "hardtanh":
            limits = (float(args[1]), float(args[2])) if len(args) > 2 else (-1.0, 1.0)
            if limits not in _CLAMPS:
                raise TargetError(f"{self.where}: a clamp to {limits[0]:g}..{limits[1]:g} has no TFLite counterpart")
            self.add(_CLAMPS[limits], [x], x)
        elif name == "silu":
            self.add("LOGISTIC", [x], x)
            producers = (self.producers[id(x)], len(self.layers) - 1)
            self.add("MUL", [x], x, inputs=producers)
        else:
            self.add(_SHAPE_PRESERVING[name], [x], x)


def _record_convolution(recorder: _Recorder, args: tuple[Any, ...], sources: Sequence[Tensor], output: Tensor) -> None:
    x, weight, _, stride, padding, dilation, transposed, _, groups = args[:9]
    if weight.ndim != 4:
        raise TargetError(f"{recorder.where}: a convolution over {weight.ndim - 2} dimensions, the cost model knows 2")
    kernel = (weight.shape[2], weight.shape[3])
    fields: dict[str, Any] = {
        "kernel": kernel,
        "stride": max(stride),
        "dilation": max(dilation),
        "groups": groups,
        "weight_bytes": weight.numel() + BIAS_BYTES * output.shape[1],
    }
    if transposed:
        macs = x.shape[2] * x.shape[3] * weight.numel()
        recorder.add("TRANSPOSE_CONV", sources[:1], output, macs=macs, **fields)
        return
    macs = output.shape[2] * output.shape[3] * weight.numel()
    op = "DEPTHWISE_CONV_2D" if groups == x.shape[1] > 1 else "CONV_2D"
    fields |= _padded(recorder, "PAD", x, output, _Window(kernel, stride, dilation, padding))
    recorder.add(op, sources[:1], output, macs=macs, **fields)


def _record_pool(op: str) -> Callable[[_Recorder, tuple[Any, ...], Sequence[Tensor], Tensor], None]:
    def record(recorder: _Recorder, args: tuple[Any, ...], sources: Sequence[Tensor], output: Tensor) -> None:
        # The fifth argument is ceil_mode for an average and the dilation for a maximum.
        window, _ = _pool_window(args, has_dilation=op == "MAX_POOL_2D")
        fields: dict[str, Any] = {
            "kernel": window.kernel,
            "stride": max(window.stride),
            "dilation": max(window.dilation),
            **_padded(recorder, "PADV2", sources[0], output, window),
        }
        recorder.add(op, sources, output, **fields)

    return record


def _record_adaptive_pool(
    recorder: _Recorder, args: tuple[Any, ...], sources: Sequence[Tensor], output: Tensor
) -> None:
    del args
    kernel = tuple(-(-sources[0].shape[axis] // output.shape[axis]) for axis in (2, 3))
    recorder.add("AVERAGE_POOL_2D", sources, output, kernel=kernel, stride=max(kernel))


def _record_product(recorder: _Recorder, args: tuple[Any, ...], sources: Sequence[Tensor], output: Tensor) -> None:
    """Record ``addmm(bias, x, weight)``, ``mm(x, weight)`` or ``bmm(a, b)``."""
    left, right = [arg for arg in args if isinstance(arg, Tensor)][-2:]
    macs = left.numel() * right.shape[-1]
    if id(right) in recorder.producers:
        recorder.add("BATCH_MATMUL", sources, output, macs=macs)
        return
    # The rows of `left` are pixels, not a batch.
    fields = {"input": (1, left.shape[0], left.shape[1]), "output": (1, output.shape[0], output.shape[1])}
    weight_bytes = right.numel() + BIAS_BYTES * right.shape[-1]
    recorder.add("FULLY_CONNECTED", sources[:1], output, macs=macs, weight_bytes=weight_bytes, **fields)


_Record: TypeAlias = Callable[[_Recorder, tuple[Any, ...], Sequence[Tensor], Tensor], None]
_RECORDS: dict[str, _Record] = {
    _CONVOLUTION: _record_convolution,
    "max_pool2d": _record_pool("MAX_POOL_2D"),
    _MAX_POOL: _record_pool("MAX_POOL_2D"),
    "avg_pool2d": _record_pool("AVERAGE_POOL_2D"),
    "_adaptive_avg_pool2d": _record_adaptive_pool,
    "addmm": _record_product,
    "mm": _record_product,
    "bmm": _record_product,
}


def _result_shape(overload: str, args: tuple[Any, ...], sources: Sequence[Tensor]) -> Sequence[int] | None:
    """Return the shape of the result of an operator where it is simple; None where torch has to say."""
    x = sources[0]
    if overload == "add" and len(sources) == 2 and x.shape == sources[1].shape:
        return x.shape
    if x.ndim != 4 or x is not args[0]:
        return None
    if overload in _PLAIN_RESIZES and isinstance(args[1], (list, tuple)) and min(args[1]) > 0:
        return *x.shape[:2], *args[1]
    if overload == _CONVOLUTION:
        weight, _, stride, padding, dilation, transposed, _, groups = args[1:9]
        if transposed or weight.ndim != 4 or weight.shape[1] * groups != x.shape[1] or weight.shape[0] % groups:
            return None
        window = _Window(weight.shape[2:], _pair(stride), _pair(dilation), _pair(padding))
        return _windowed(x, weight.shape[0], window, is_ceil=False)
    if overload == _MAX_POOL:
        window, is_ceil = _pool_window(args, has_dilation=True)
        # torch refuses more padding than half a window.
        if any(2 * padding > kernel for padding, kernel in zip(window.padding, window.kernel, strict=True)):
            return None
        return _windowed(x, x.shape[1], window, is_ceil)
    return None


def _pool_window(args: tuple[Any, ...], *, has_dilation: bool) -> tuple[_Window, bool]:
    """Return the window of a pool and whether incomplete windows count, from ``(x, kernel, stride, padding, ...)``."""
    kernel = _pair(args[1])
    stride = _pair(args[2]) if len(args) > 2 and args[2] else kernel
    padding = _pair(args[3]) if len(args) > 3 else (0, 0)
    dilation = _pair(args[4]) if has_dilation and len(args) > 4 else (1, 1)
    is_ceil = args[5] if has_dilation and len(args) > 5 else False
    return _Window(kernel, stride, dilation, padding), is_ceil


def _windowed(x: Tensor, channels: int, window: _Window, is_ceil: bool) -> Sequence[int] | None:
    """Return the shape that a window slid over ``x`` gives; None where torch would refuse."""
    sides = []
    for axis, (kernel, stride, dilation, padding) in enumerate(window.sides, start=2):
        if min(kernel, stride, dilation) < 1 or padding < 0:
            return None
        room = x.shape[axis] + 2 * padding - dilation * (kernel - 1) - 1
        side = -(-room // stride) + 1 if is_ceil else room // stride + 1
        if is_ceil and (side - 1) * stride >= x.shape[axis] + padding:  # a window must begin on the input
            side -= 1
        if side < 1:
            return None
        sides.append(side)
    return x.shape[0], channels, *sides


@dataclass(frozen=True)
class _Window:
    kernel: Sequence[int]
    stride: Sequence[int]
    dilation: Sequence[int]
    padding: Sequence[int]

    @property
    def sides(self) -> Iterator[tuple[int, int, int, int]]:
        """Kernel, stride, dilation and padding along the height and along the width."""
        return zip(self.kernel, self.stride, self.dilation, self.padding, strict=True)


def _padded(recorder: _Recorder, op: str, x: Tensor, output: Tensor, window: _Window) -> dict[str, Any]:
    """Record a padding layer where TFLite needs one; return the fields of the layer that then reads it."""
    sides = [_Side(x.shape[axis + 2], output.shape[axis + 2], *values) for axis, values in enumerate(window.sides)]
    if all(side.is_valid for side in sides) or all(side.is_same for side in sides):
        return {}
    shape = (x.shape[2] + 2 * window.padding[0], x.shape[3] + 2 * window.padding[1], x.shape[1])
    recorder.add(op, [x], x, output=shape)
    return {"input": shape, "inputs": (len(recorder.layers) - 1,)}


@dataclass(frozen=True)
class _Side:
    """One side of a windowed operator, ``padding`` elements added before it."""

    input: int
    output: int
    kernel: int
    stride: int
    dilation: int
    padding: int

    @property
    def is_valid(self) -> bool:
        """Whether TFLite's VALID (no padding, incomplete windows dropped) gives the same."""
        return self.padding == 0 and self._reach <= self.input

    @property
    def is_same(self) -> bool:
        """Whether TFLite's SAME (``ceil(input / stride)`` windows, the odd element after) gives the same."""
        return self.output == -(-self.input // self.stride) and self.padding == max(self._reach - self.input, 0) // 2

    @property
    def _reach(self) -> int:
        """Elements that the windows cover."""
        return (self.output - 1) * self.stride + (self.kernel - 1) * self.dilation + 1


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    """Return the tensors among the arguments or results of an operator, also those in lists."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (list, tuple)):
            found += [item for item in value if isinstance(item, Tensor)]
    return found


def _pair(value: Any) -> tuple[int, int]:
    values = [value] if isinstance(value, int) else list(value)
    return int(values[0]), int(values[-1])


def _fuse(recorded: Sequence[Layer], outputs: Sequence[int]) -> tuple[list[Layer], list[int]]:
    """Fold batch normalisation and fuse activations; return the layers left and the outputs' producers among them."""
    consumers = Counter(producer for layer in recorded for producer in layer.inputs)
    consumers.update(outputs)
    layers: list[Layer] = []
    place: dict[int, int] = {}  # where the result of a recorded layer comes from, in `layers`
    activated: set[int] = set()
    for index, layer in enumerate(recorded):
        before = layer.inputs[0]
        producer = place.get(before, before)
        closed = producer < 0 or consumers[before] > 1 or producer in activated
        inputs = tuple([place.get(number, number) for number in layer.inputs])
        if layer.op == _BATCH_NORM:
            if closed or layers[producer].op not in _FOLDABLE:
                channels = layer.output[2]
                layers.append(replace(layer, op="MUL", inputs=inputs, weight_bytes=channels))
                layers.append(replace(layer, op="ADD", inputs=(len(layers) - 1,), weight_bytes=channels))
                producer = len(layers) - 1
            place[index] = producer
        elif layer.op in _FUSED_ACTIVATIONS and not closed and layers[producer].op in _TAKES_ACTIVATION:
            activated.add(producer)
            place[index] = producer
        else:
            place[index] = len(layers)
            layers.append(replace(layer, inputs=inputs))
    return layers, [place.get(output, output) for output in outputs]
