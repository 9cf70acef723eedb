"""The library that a run chooses from: scenes, backgrounds, colours and channels, each an entry in a YAML file.

Shipped files lie beside this one; another folder, laid out alike, adds entries or replaces them by name:

    scenes/*.yaml  channels/*.yaml  backgrounds.yaml  colours.yaml

and the photographs that its scenes name. Every fault in every file is reported at once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache, reduce
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar, get_args

from catalog_schemas.errors import ConfigError
from configs.english import singular
from configs.entries import Background, Channel, Colour, Scene
from configs.reading import read_yaml, unknown, validated, yaml_files

Entry = TypeVar("Entry", Scene, Background, Colour, Channel)

GROUPS: tuple[str, ...] = tuple(filter(None, get_args(Scene.model_fields["group"].annotation)))
ALL = "all"
PACKAGE = Path(__file__).parent.parent


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
    A relative folder is one of the package's own.

    Raises `ConfigError` that names file, entry and field of every fault.
    """
    faults: list[str] = []
    library = read_library(folders, faults)
    if faults:
        raise ConfigError("The library cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return library


def read_library(folders: Iterable[str | Path], faults: list[str]) -> Library:
    """Like `load_library`; what cannot be used is left out, and noted in `faults`."""
    shipped, in_shipped = _shipped()
    faults += in_shipped
    libraries = [shipped]
    for folder in (PACKAGE / folder for folder in folders):  # an absolute path stays what it is
        if folder.is_dir():
            libraries.append(_read(folder, faults))
        else:
            faults.append(f"{folder}: no such folder; expected one with scenes/, channels/ or their like in it")
    return reduce(_with, libraries)


@cache
def _shipped() -> tuple[Library, list[str]]:
    """The library that lies beside this file, and its faults: every stage of a run asks for it."""
    faults: list[str] = []
    return _read(resources.files("configs"), faults), faults


def _read(root: Traversable, faults: list[str]) -> Library:
    scenes, channels = _Reader(Scene, faults), _Reader(Channel, faults)
    backgrounds, colours = _Reader(Background, faults), _Reader(Colour, faults)
    scenes.read(yaml_files(root, "scenes"))
    channels.read(yaml_files(root, "channels"))
    backgrounds.read(yaml_files(root, "backgrounds.yaml"))
    colours.read(yaml_files(root, "colours.yaml"))
    placed = {name: _beside(root, scene) if scene.photos else scene for name, scene in scenes.entries.items()}
    return Library(placed, backgrounds.entries, colours.entries, channels.entries)


def _with(library: Library, more: Library) -> Library:
    """A library with the entries of both; of two with one name, the later one."""
    return Library(
        {**library.scenes, **more.scenes},
        {**library.backgrounds, **more.backgrounds},
        {**library.colours, **more.colours},
        {**library.channels, **more.channels},
    )


def _beside(root: Traversable, scene: Scene) -> Scene:
    """The scene with its photographs by the paths that they have from anywhere."""
    folder = Path(str(root)).absolute()
    photos = (one if "://" in one else str(folder / Path(one).expanduser()) for one in scene.photos)
    return scene.model_copy(update={"photos": tuple(photos)})


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


@lru_cache(10_000)  # a plan asks of each product what it asked of the one before
def _words(text: str) -> frozenset[str]:
    """Lower-case words in the singular: "Home > Clocks" gives {"home", "clock"}."""
    separated = "".join(letter if letter.isalnum() else " " for letter in text.lower())
    return frozenset(map(singular, separated.split()))
