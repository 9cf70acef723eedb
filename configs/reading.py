"""Reads YAML into models, and says of every fault where it is, what came, and what may have been meant."""

import difflib
from collections.abc import Collection, Iterator
from contextlib import suppress
from importlib.resources.abc import Traversable
from typing import Any, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

try:
    from yaml import CSafeLoader as SafeLoader  # libyaml's parser: a run reads the library at every stage
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

Model = TypeVar("Model", bound=BaseModel)


class _NoDuplicates(SafeLoader):
    """YAML, safe, where a key that comes up twice is an error instead of the last one winning silently."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse a second key of the same name."""
        seen: set[Any] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} comes twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def yaml_files(root: Traversable, name: str) -> list[Traversable]:
    """The YAML files of a folder in name order, or the one file; none when there is no such thing."""
    place = root / name
    if place.is_file():
        return [place]
    if not place.is_dir():
        return []
    found = (file for file in place.iterdir() if file.name.endswith((".yaml", ".yml")))
    return sorted(found, key=lambda file: file.name)


def read_yaml(file: Traversable, faults: list[str]) -> dict[str, Any] | None:
    """The file's mapping; an empty file holds none. A fault is noted, and None returned."""
    try:
        values = yaml.load(file.read_text(encoding="utf-8"), Loader=_NoDuplicates)  # a SafeLoader: no objects
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        said = str(error).replace('in "<unicode string>", ', "at ")
        faults.append(f"{file}: not readable as YAML: {' '.join(said.split())}")
        return None
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        faults.append(f"{file}: expected names with their fields, got {type(values).__name__} or keys that are no text")
        return None
    return values


def validated(model: type[Model], values: dict[str, Any], place: str, faults: list[str]) -> Model | None:
    """The values as a model; faults are noted, each with its place, and None returned."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults += [f"{place}: {sentence}" for sentence in _sentences(model, error)]
        return None


def what_is_right(model: type[Model], values: dict[str, Any]) -> Model:
    """The values that are valid, and defaults for the others, so that the names in them can be checked too."""
    kept: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind, value = cast(Any, field.annotation), values.get(name)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
            kept[name] = what_is_right(kind, value)
        elif name in values:
            with suppress(ValidationError):
                kept[name] = TypeAdapter(kind).validate_python(value)
    return model.model_construct(**kept)


def _sentences(model: type[BaseModel], error: ValidationError) -> Iterator[str]:
    """Each of pydantic's errors as one line: which field, what is wrong, what came, and what may have been meant."""
    for fault in error.errors(include_url=False):
        location = ".".join(str(part) for part in fault["loc"]) or "the whole"
        if fault["type"] == "extra_forbidden":
            key = str(fault["loc"][-1])
            yield f"{location}: no such key{suggestion(key, _keys_at(model, fault['loc'][:-1]))}"
        elif fault["type"] == "missing":
            yield f"{location}: missing"
        elif fault["type"] == "tuple_type":
            such = f", such as [{fault['input']}]" if isinstance(fault["input"], str) else ""
            yield f"{location}: expected a list{such}, got {_short(fault['input'])}"
        elif fault["type"] == "string_type" and fault["input"] is None:
            yield f"{location}: empty; what begins with # needs quotes, or YAML takes it for a comment"
        else:
            yield f"{location}: {fault['msg']}, got {_short(fault['input'])}"


def _keys_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """The field names that are allowed where an unknown key was found."""
    for part in location:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        inner = [kind for kind in (annotation, *get_args(annotation)) if isinstance(kind, type)]
        nested = [kind for kind in inner if issubclass(kind, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def unknown(names: Collection[str], known: Collection[str], place: str, kind: str) -> list[str]:
    """One sentence for each name that is not known, with the one that may have been meant."""
    return [f"{place}: no {kind} {name!r}{suggestion(name, known)}" for name in names if name not in known]


def suggestion(name: str, known: Collection[str]) -> str:
    """What may have been meant, as the end of a message; empty where nothing is close."""
    close = closest(name, known)
    return f" (did you mean {close!r}?)" if close else ""


def closest(name: str, known: Collection[str]) -> str:
    """The name of those known that may have been meant, in whatever case; empty where nothing is close."""
    in_one_case = {one.casefold(): one for one in sorted(known)}
    close = difflib.get_close_matches(name.casefold(), in_one_case, n=1)
    return in_one_case[close[0]] if close else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
