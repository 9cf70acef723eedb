"""The library that a run chooses from: scenes, backgrounds, colours and channels, each an entry in a YAML file.

Shipped files lie beside this one; a folder of the user's own, laid out alike, adds entries or replaces them by name:

    scenes/*.yaml  channels/*.yaml  backgrounds.yaml  colours.yaml

Every fault in every file is reported at once.
"""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_args

import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from catalog_schemas.errors import ConfigError
from configs.entries import Background, Channel, Colour, Scene
from configs.schema import MatrixRule, RunConfig

try:
    from yaml import CSafeLoader as SafeLoader  # libyaml's parser: a run reads the library at every stage
except ImportError:  # PyYAML built without libyaml
    from yaml import SafeLoader  # type: ignore[assignment]

Entry = TypeVar("Entry", Scene, Background, Colour, Channel)

GROUPS: tuple[str, ...] = get_args(Scene.model_fields["group"].annotation)
ALL = "all"


@dataclass(frozen=True)
class Library:
    """Everything a run can name, by name, in the files' order."""

    scenes: Mapping[str, Scene]
    backgrounds: Mapping[str, Background]
    colours: Mapping[str, Colour]
    channels: Mapping[str, Channel]

    def scenes_named(self, names: Collection[str]) -> tuple[Scene, ...]:
        """The scenes of a matrix: each name is a scene's, a group's, or "all"; each scene once, in library order.

        Raises `ConfigError` for a name that is none of these.
        """
        faults = unknown(names, {*self.scenes, *GROUPS, ALL}, "variants.scenes", "scene")
        if faults:
            raise ConfigError("\n".join(faults))
        return tuple(
            scene for scene in self.scenes.values() if ALL in names or scene.name in names or scene.group in names
        )

    def scenes_for(self, category: str, class_noun: str) -> tuple[Scene, ...]:
        """The scenes that suit a product: those for every product, and those that list a word of its own."""
        words = _words(f"{category} {class_noun}")
        return tuple(
            scene
            for scene in self.scenes.values()
            if not scene.categories or any(_words(listed) <= words for listed in scene.categories)
        )


def load_library(*folders: str | Path) -> Library:
    """The shipped library with the entries of `folders` added, a later one replacing an earlier one of its name.

    Raises `ConfigError` that names file, entry and field of every fault.
    """
    faults: list[str] = []
    library = _read_library(folders, faults)
    if faults:
        raise ConfigError("The library cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return library


def _read_library(folders: Iterable[str | Path], faults: list[str]) -> Library:
    roots: list[Traversable] = [resources.files("configs")]
    for folder in map(Path, folders):
        if folder.is_dir():
            roots.append(folder)
        else:
            faults.append(f"{folder}: no such folder; expected one with scenes/, channels/ or their like in it")
    scenes, channels = _Reader(Scene, faults), _Reader(Channel, faults)
    backgrounds, colours = _Reader(Background, faults), _Reader(Colour, faults)
    for root in roots:
        scenes.read(_files(root, "scenes"))
        channels.read(_files(root, "channels"))
        backgrounds.read(_files(root, "backgrounds.yaml"))
        colours.read(_files(root, "colours.yaml"))
    return Library(scenes.entries, backgrounds.entries, colours.entries, channels.entries)


def load_preset(
    name_or_path: str | Path,
    library: Library | None = None,
    checks: Collection[str] | None = None,
    techniques: Collection[str] | None = None,
) -> RunConfig:
    """The run configuration of a shipped preset ("demo") or of a YAML file ("my/preset.yaml").

    Its library's folders are looked for beside the file. Raises `ConfigError` with every fault at once: unknown keys,
    wrong values, and names that are not in `library` (by default the shipped one with the configuration's own folders),
    or not among `checks` and `techniques`, where these are given.
    """
    path = Path(name_or_path)
    if path.suffix in (".yaml", ".yml") or path.parent != Path():
        source: Traversable = path
    else:
        source = resources.files("configs") / "presets" / f"{name_or_path}.yaml"
    if not source.is_file():
        shipped = sorted(file.name.removesuffix(".yaml") for file in _files(resources.files("configs"), "presets"))
        raise ConfigError(
            f"{name_or_path}: no such preset{suggestion(str(name_or_path), shipped)}; expected one of "
            f"{', '.join(shipped)}, or the path of a YAML file"
        )
    faults: list[str] = []
    values = read_yaml(source, faults)
    config = None if values is None else validated(RunConfig, values, str(name_or_path), faults)
    right = config or _what_is_right(RunConfig, values or {})
    beside = tuple(str(path.absolute().parent / Path(folder).expanduser()) for folder in right.library)
    right = right.model_copy(update={"library": beside})
    library = library or _read_library(beside, faults)
    faults += [f"{name_or_path}: {fault}" for fault in unknown_names(right, library, checks, techniques)]
    if faults or config is None:
        raise ConfigError("The preset cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return right


def unknown_names(
    config: RunConfig,
    library: Library,
    checks: Collection[str] | None = None,
    techniques: Collection[str] | None = None,
) -> list[str]:
    """One sentence for each scene, colour, background or channel that `config` names and `library` does not hold,
    and each check and technique that it names and these do not, where they are given."""
    scenes = {*library.scenes, *GROUPS}
    matrix = config.variants
    faults = [
        *unknown(config.channels, library.channels, "channels", "channel"),
        *unknown(matrix.scenes, {*scenes, ALL}, "variants.scenes", "scene or group of scenes"),
        *unknown(matrix.colours, library.colours, "variants.colours", "colour"),
        *unknown(matrix.backgrounds, library.backgrounds, "variants.backgrounds", "background"),
    ]
    if checks is not None:
        faults += unknown([check.name for check in config.checks], checks, "checks", "check")
    if techniques is not None:
        faults += unknown(matrix.techniques, techniques, "variants.techniques", "technique")
    rules: list[tuple[str, MatrixRule]] = [(f"variants.include.{at}", rule) for at, rule in enumerate(matrix.include)]
    rules += [(f"variants.exclude.{at}", rule) for at, rule in enumerate(matrix.exclude)]
    for place, rule in rules:
        faults += unknown(rule.scenes, scenes, f"{place}.scenes", "scene or group of scenes")
        faults += unknown(rule.colours, library.colours, f"{place}.colours", "colour")
        faults += unknown(rule.backgrounds, library.backgrounds, f"{place}.backgrounds", "background")
        if techniques is not None:
            faults += unknown(rule.techniques, techniques, f"{place}.techniques", "technique")
    return faults


class _Reader(Generic[Entry]):
    """Collects one kind's entries over several files, and the faults found on the way."""

    def __init__(self, kind: type[Entry], faults: list[str]) -> None:
        self.kind: type[Entry] = kind
        self.faults = faults
        self.entries: dict[str, Entry] = {}

    def read(self, files: list[Traversable]) -> None:
        """Add what `files`, all of one folder, define; within a folder a name may come up once."""
        first_in: dict[str, str] = {}
        for file in files:
            for name, fields in (read_yaml(file, self.faults) or {}).items():
                if name in first_in:
                    self.faults.append(f"{file}: {name}: already defined in {first_in[name]}; give it another name")
                    continue
                first_in[name] = file.name
                entry = self._entry(file, name, fields)
                if entry is not None:
                    self.entries[name] = entry

    def _entry(self, file: Traversable, name: str, fields: Any) -> Entry | None:
        if not isinstance(fields, dict):
            self.faults.append(f"{file}: {name}: expected fields (title: …), got {fields!r}")
            return None
        group = file.name.rsplit(".", 1)[0]
        if self.kind is Scene and group in GROUPS:
            fields = {"group": group, **fields}
        return validated(self.kind, {"name": name, **fields}, f"{file}: {name}", self.faults)


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


def _files(root: Traversable, name: str) -> list[Traversable]:
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


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], values: dict[str, Any], place: str, faults: list[str]) -> Model | None:
    """The values as a model; faults are noted, each with its place, and None returned."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults += [f"{place}: {sentence}" for sentence in _sentences(model, error)]
        return None


def _what_is_right(model: type[Model], values: dict[str, Any]) -> Model:
    """The values that are valid, and defaults for the others, so that the names in them can be checked too."""
    kept: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        kind, value = cast(Any, field.annotation), values.get(name)
        if isinstance(kind, type) and issubclass(kind, BaseModel) and isinstance(value, dict):
            kept[name] = _what_is_right(kind, value)
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
    close = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _words(text: str) -> set[str]:
    """Lower-case words without their plural s: "Home > Clocks" gives {"home", "clock"}."""
    separated = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return {_singular(word) for word in separated.split()}


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us")) and len(word) > 3 else word
