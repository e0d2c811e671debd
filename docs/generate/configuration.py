"""The keys of every configuration, from the pydantic models that check them."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from ednas.data.readers import adashare, cityscapes, mtan, nyuv2, synthetic
from ednas.data.readers.folder.description import FolderConfig, PartConfig, PartsConfig
from ednas.data.readers.folder.targets import DepthTarget, LabelsTarget, NormalsTarget
from ednas.hw import Target
from ednas.hw.graph.layer_list import LayerEntry, NetworkEntry
from ednas.methods import MethodsConfig
from ednas.mtl.sharing.adashare import AdaShare
from ednas.mtl.sharing.branching import Branching
from ednas.mtl.sharing.cross_stitch import CrossStitch
from ednas.mtl.sharing.den import DEN
from ednas.mtl.sharing.nddr import NDDR
from ednas.mtl.sharing.sluice import Sluice
from ednas.mtl.weighting.conflicts import AlignedMTL, CAGrad, Nash
from ednas.mtl.weighting.dwa import DynamicWeightAverage
from ednas.mtl.weighting.famo import FAMO
from ednas.mtl.weighting.gradnorm import GradNorm
from ednas.mtl.weighting.searched import Searched
from ednas.mtl.weighting.stch import SmoothTchebycheff
from ednas.mtl.weighting.uncertainty import Uncertainty
from ednas.mtl.weighting.uw_so import SoftOptimalUncertainty
from ednas.pipeline import StudyConfig
from ednas.search import SearchConfig
from ednas.search.check import CheckOptions
from ednas.search.controllers.evolution import RegularizedEvolution
from ednas.search.controllers.local_search import LocalSearch
from ednas.search.controllers.nsga2 import NSGA2
from ednas.search.controllers.ppo import PPO
from ednas.search.controllers.pyglove import PyGlove
from ednas.search.evaluators.proxy import ProxyOptions
from ednas.search.evaluators.stack import PredictorOptions, StackOptions
from ednas.search.evaluators.supernet import SupernetOptions
from ednas.search.evaluators.zero_cost import ZeroCostOptions
from ednas.training import RECIPES, TrainConfig
from generate.text import as_markdown, attributes, table


@dataclass(frozen=True)
class Page:
    """A page about the configurations of one thing.

    Attributes:
        title: Of the page.
        text: What stands before the keys.
        models: The models by their headings; those that they hold follow under headings of their own.
    """

    title: str
    text: str
    models: Mapping[str, type[BaseModel]]


PAGES = {
    "training": Page(
        "Training configuration",
        "The YAML file of `ednas train --config`, and the `config.yaml` of a training's folder.",
        {
            "Training": TrainConfig,
            "Comparison of methods": MethodsConfig,
            "Options of the sharing adashare": AdaShare.Options,
            "Options of the sharing den": DEN.Options,
            "Options of the sharing branching": Branching.Options,
            "Options of the sharing cross_stitch": CrossStitch.Options,
            "Options of the sharing sluice": Sluice.Options,
            "Options of the sharing nddr": NDDR.Options,
            "Options of the weighting searched": Searched.Options,
            "Options of the weighting uncertainty": Uncertainty.Options,
            "Options of the weighting uw_so": SoftOptimalUncertainty.Options,
            "Options of the weighting dwa": DynamicWeightAverage.Options,
            "Options of the weighting stch": SmoothTchebycheff.Options,
            "Options of the weighting famo": FAMO.Options,
            "Options of the weighting gradnorm": GradNorm.Options,
            "Options of the weighting cagrad": CAGrad.Options,
            "Options of the weighting aligned": AlignedMTL.Options,
            "Options of the weighting nash": Nash.Options,
        },
    ),
    "search": Page(
        "Search configuration",
        "The YAML file of `ednas search --config`, and the `config.yaml` of a search's folder. How candidates are "
        "trained stands under `training:`, with the keys of a [training configuration](training.md).",
        {
            "Search": SearchConfig,
            "Options of the controller evolution": RegularizedEvolution.Options,
            "Options of the controller local_search": LocalSearch.Options,
            "Options of the controller nsga2": NSGA2.Options,
            "Options of the controller ppo": PPO.Options,
            "Options of the controller pyglove": PyGlove.Options,
            "Options of the evaluator proxy": ProxyOptions,
            "Options of the evaluator supernet": SupernetOptions,
            "Options of the evaluator predictor": PredictorOptions,
            "Options of the evaluator stack": StackOptions,
            "Options of the evaluator zero_cost": ZeroCostOptions,
            "Options of --check-proxy": CheckOptions,
            "study.yaml of a demo": StudyConfig,
        },
    ),
    "dataset": Page(
        "dataset.yaml",
        "The description of a dataset of your own; [Bring your own data](../../bring-your-own-data.md) shows examples. "
        "A file with `parts` describes images from several places.",
        {
            "A dataset": FolderConfig,
            "A dataset of parts": PartsConfig,
            "A part": PartConfig,
            "Target of the kind labels": LabelsTarget,
            "Target of the kind distance or disparity": DepthTarget,
            "Target of the kind normals": NormalsTarget,
            "Options of streets and rooms": synthetic.SyntheticOptions,
            "Options of MTAN": mtan.MTANOptions,
            "Options of raw Cityscapes": cityscapes.CityscapesOptions,
            "Options of raw NYUv2": nyuv2.NYUv2Options,
            "Options of AdaShare CityScapes": adashare.AdaShareCityscapesOptions,
        },
    ),
    "device": Page(
        "Device file",
        "The YAML file of a device; [the cost model](../../simulator.md) says what each part does, and `ednas targets "
        "coral_usb --yaml` prints a complete one.",
        {"A device": Target},
    ),
    "layers": Page(
        "Layer list",
        "A JSON file that lists the layers of a network, without weights, for `ednas latency`. A file holds one "
        "network, or several by name.",
        {"A network": NetworkEntry, "A layer": LayerEntry},
    ),
}


def page(name: str) -> str:
    """Return one of :data:`PAGES` as Markdown."""
    chosen = PAGES[name]
    parts = [f"# {chosen.title}", chosen.text]
    for model, heading in sections(name).items():
        parts += [f"## {heading} {{ #{_anchor(model)} }}", _summary(model), keys_table(model, name)]
    if name == "training":
        parts += ["## Named recipes", "What each sets; every other key of a recipe has its default.", _recipes()]
    return "\n\n".join(part for part in parts if part) + "\n"


def sections(name: str) -> dict[type[BaseModel], str]:
    """Return the models of a page with their headings, in order: those named, each followed by those that it holds."""
    named = {model: heading for heading, model in PAGES[name].models.items()}
    return {model: named.get(model, model.__name__) for model, home in homes().items() if home == name}


@cache
def homes() -> dict[type[BaseModel], str]:
    """Return every model that a configuration holds, with the page that describes it: the first that mentions it."""
    found: dict[type[BaseModel], str] = {}

    def add(model: type[BaseModel], name: str) -> None:
        if model not in found:
            found[model] = name
            for field in model.model_fields.values():
                for nested in nested_models(field.annotation):
                    add(nested, name)

    for name, entry in PAGES.items():
        for model in entry.models.values():
            add(model, name)
    return found


def nested_models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a type mentions."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from nested_models(argument)


_NONE = re.compile(r"`?\bNone\b`?")


def keys_table(model: type[BaseModel], page_name: str) -> str:
    """Return the table of a model's keys."""
    schema = model.model_json_schema(ref_template="{model}")
    described = attributes(model)
    rows = []
    for name, field in model.model_fields.items():
        entry = schema["properties"][field.alias or name]
        kind = type_in_words(entry, _links(field, page_name))
        meaning = _NONE.sub("`null`", described[name])
        rows.append((f"`{field.alias or name}`", kind, _default(field), limits_in_words(entry), meaning))
    return table(("Key", "Type", "Default", "Range", "Meaning"), rows) if rows else "It has no keys."


def _links(field: FieldInfo, page_name: str) -> dict[str, str]:
    """Return links to the models that a key holds, by their names."""
    links = {}
    for model in nested_models(field.annotation):
        home = homes()[model]
        page_link = "" if home == page_name else f"{home}.md"
        links[model.__name__] = f"[{model.__name__}]({page_link}#{_anchor(model)})"
    return links


_TYPES = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "`true` or `false`",
    "null": "`null`",
    "object": "mapping",
    "array": "list",
}


def type_in_words(schema: Mapping[str, Any], links: Mapping[str, str]) -> str:
    """Return the type of a JSON schema in words, as a reader of YAML knows it."""
    if "$ref" in schema:
        return links[schema["$ref"]]
    for union in ("anyOf", "oneOf", "allOf"):
        if union in schema:
            return " or ".join(dict.fromkeys(type_in_words(member, links) for member in schema[union]))
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    kind = schema.get("type")
    if kind == "array" and "prefixItems" in schema:
        return f"[{', '.join(type_in_words(item, links) for item in schema['prefixItems'])}]"
    if kind == "array" and schema.get("items"):
        return f"list of: {type_in_words(schema['items'], links)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"mapping of names to: {type_in_words(schema['additionalProperties'], links)}"
    return _TYPES.get(str(kind), "anything")


_LIMITS = {
    "minimum": "≥ {}",
    "exclusiveMinimum": "> {}",
    "maximum": "≤ {}",
    "exclusiveMaximum": "< {}",
    "minItems": "at least {} entries",
    "minProperties": "at least {} entries",
    "minLength": "at least {} characters",
}


def limits_in_words(schema: Mapping[str, Any]) -> str:
    """Return what a JSON schema allows, beside the type."""
    if "prefixItems" in schema:
        return ", ".join(dict.fromkeys(filter(None, map(limits_in_words, schema["prefixItems"]))))
    own = [form.format(_number(schema[key])) for key, form in _LIMITS.items() if key in schema]
    inner = [schema.get("items"), schema.get("additionalProperties"), *schema.get("anyOf", ())]
    nested = [limits_in_words(entry) for entry in inner if isinstance(entry, Mapping)]
    return ", ".join(dict.fromkeys(text for text in (*own, *nested) if text))


def _number(value: float) -> str:
    if value >= 2**31:
        return f"2^{math.log2(value):g}"
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        name = getattr(value, "name", None)
        return f"`{name}`" if name else "its defaults"
    plain = list(value) if isinstance(value, tuple) else dict(value) if isinstance(value, Mapping) else value
    return f"`{_flow(plain)}`"


def _flow(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.safe_dump(_plain(value), default_flow_style=True, allow_unicode=True, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return getattr(value, "name", None) or _plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, tuple | list) else value


def _recipes() -> str:
    """Return the table of the named recipes: the keys that at least one of them sets, and their values."""
    plain = {name: recipe.model_dump(mode="json", exclude_defaults=True) for name, recipe in RECIPES.items()}
    keys = dict.fromkeys(key for values in plain.values() for key in values if key != "name")
    rows = [(f"`{key}`", *(f"`{_flow(v[key])}`" if key in v else "" for v in plain.values())) for key in keys]
    return table(("Key", *(f"`{name}`" for name in plain)), rows)


def _summary(model: type[BaseModel]) -> str:
    """Return the text of a model's docstring that stands before its sections."""
    text = inspect.cleandoc(model.__doc__ or "")
    for section in ("Attributes:", "Example:", "Examples:"):
        text = text.partition(f"\n{section}\n")[0]
    return as_markdown(text.strip())


def _anchor(model: type[BaseModel]) -> str:
    return model.__qualname__.lower().replace(".", "-")
