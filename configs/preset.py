"""A preset: what a run is told, from a YAML file, its names looked up in the library."""

from collections.abc import Collection
from contextlib import suppress
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from catalog_schemas.errors import ConfigError
from configs.hex_colours import hex_colour
from configs.library import ALL, GROUPS, PACKAGE, Library, read_library
from configs.reading import read_yaml, suggestion, unknown, validated, what_is_right, yaml_files
from configs.schema import MatrixRule, RunConfig


def load_preset(
    name_or_path: str | Path,
    checks: Collection[str] | None = None,
    techniques: Collection[str] | None = None,
) -> RunConfig:
    """The run configuration of a shipped preset ("demo") or of a YAML file ("my/preset.yaml").

    A file may name another preset as its `base`: see `_on_top`. Its library's folders are looked for beside the file,
    or in the package. Raises `ConfigError` with every fault at once: unknown keys, wrong values, and names that are
    neither in the shipped library nor in the configuration's own folders, or not among `checks` and `techniques`, where
    these are given.
    """
    faults: list[str] = []
    values = _values(name_or_path, faults)
    config = None if values is None else validated(RunConfig, values, str(name_or_path), faults)
    if values is not None and "model" not in values:
        faults.append(f"{name_or_path}: a file that says only what differs names its base, such as base: sd15")
    right = config or what_is_right(RunConfig, values or {})
    library = read_library(right.library, faults)
    faults += [f"{name_or_path}: {fault}" for fault in unknown_names(right, library, checks, techniques)]
    if faults or config is None:
        raise ConfigError("The preset cannot be used:\n" + "\n".join(f"  - {fault}" for fault in faults))
    return config


def _values(name_or_path: str | Path, faults: list[str], heirs: tuple[Path, ...] = ()) -> dict[str, Any] | None:
    """What a preset's file says, and its bases; None where one of them cannot be read, which is noted."""
    values = read_yaml(_file(name_or_path), faults)
    if values is None or not is_path(name_or_path):
        return values
    path = Path(name_or_path).absolute()
    if isinstance(values.get("library"), list):
        values["library"] = [_placed(one, path) if isinstance(one, str) else one for one in values["library"]]
    if "base" not in values:
        return values
    base = values.pop("base")
    if not isinstance(base, str) or not base:
        faults.append(f"{name_or_path}: base: expected the name of a preset or the path of a YAML file, got {base!r}")
        return None
    below = path.parent / Path(base).expanduser() if is_path(base) else base
    files = (*heirs, path.resolve())
    if isinstance(below, Path) and below.resolve() in files:
        faults.append(f"{name_or_path}: base: {base} is built on this file itself")
        return None
    held = _values(below, faults, files)
    return None if held is None else _on_top(held, values)


def _on_top(below: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`below`, with `values` in the place of what it says: sections field by field, lists as wholes. A model with a
    source of its own takes nothing of the other's, whose files and revision it has not."""
    merged = dict(below)
    for key, value in values.items():
        held = below.get(key)
        are_fields = isinstance(held, dict) and isinstance(value, dict) and not (key == "model" and "source" in value)
        merged[key] = _on_top(cast(dict[str, Any], held), value) if are_fields else value
    return merged


def _file(name_or_path: str | Path) -> Traversable:
    """The preset's file. Raises ConfigError where there is none."""
    if is_path(name_or_path):
        source: Traversable = Path(name_or_path)
    else:
        source = resources.files("configs") / "presets" / f"{name_or_path}.yaml"
    if not source.is_file():
        shipped = sorted(file.name.removesuffix(".yaml") for file in yaml_files(resources.files("configs"), "presets"))
        raise ConfigError(
            f"{name_or_path}: no such preset{suggestion(str(name_or_path), shipped)}; expected one of "
            f"{', '.join(shipped)}, or the path of a YAML file"
        )
    return source


def _placed(folder: str, file: Path) -> str:
    """Where a library's folder is: beside the preset's file or, as it was given, in the package."""
    beside = file.parent / Path(folder).expanduser()
    return folder if not beside.is_dir() and (PACKAGE / folder).is_dir() else str(beside)


def is_path(name_or_path: str | Path) -> bool:
    """Whether a preset is named by its file's path, not by a shipped one's name."""
    path = Path(name_or_path)
    return path.suffix in (".yaml", ".yml") or path.parent != Path()


def unknown_names(
    config: RunConfig,
    library: Library,
    checks: Collection[str] | None = None,
    techniques: Collection[str] | None = None,
) -> list[str]:
    """One sentence for each scene, colour, background or channel that `config` names and `library` does not hold,
    and each check and technique that it or a channel of its names and these do not, where they are given."""
    scenes = {*library.scenes, *GROUPS}
    matrix = config.variants
    faults = [
        *unknown(config.channels, library.channels, "channels", "channel"),
        *unknown(matrix.scenes, {*scenes, ALL}, "variants.scenes", "scene or group of scenes"),
        *_unknown_or_hex(matrix.colours, library.colours, "variants.colours", "colour"),
        *_unknown_or_hex(matrix.backgrounds, library.backgrounds, "variants.backgrounds", "background"),
    ]
    if checks is not None:
        faults += unknown([check.name for check in config.checks], checks, "checks", "check")
    if techniques is not None:
        faults += unknown(matrix.techniques, techniques, "variants.techniques", "technique")
        for at, check in enumerate(config.checks):
            faults += unknown(check.techniques, techniques, f"checks.{at}.techniques", "technique")
        for channel in (library.channels[name] for name in config.channels if name in library.channels):
            faults += unknown(channel.techniques, techniques, f"channel {channel.name}", "technique")
    rules: list[tuple[str, MatrixRule]] = [(f"variants.include.{at}", rule) for at, rule in enumerate(matrix.include)]
    rules += [(f"variants.exclude.{at}", rule) for at, rule in enumerate(matrix.exclude)]
    for place, rule in rules:
        faults += unknown(rule.scenes, scenes, f"{place}.scenes", "scene or group of scenes")
        faults += _unknown_or_hex(rule.colours, library.colours, f"{place}.colours", "colour")
        faults += _unknown_or_hex(rule.backgrounds, library.backgrounds, f"{place}.backgrounds", "background")
        if techniques is not None:
            faults += unknown(rule.techniques, techniques, f"{place}.techniques", "technique")
    return faults


def _unknown_or_hex(names: Collection[str], known: Collection[str], place: str, kind: str) -> list[str]:
    """As `unknown`; a hex code needs no entry, and one without its # is what was meant."""
    codes = set()
    for name in names:
        with suppress(ValueError):
            hex_colour(name)
            codes.add(f"#{name.removeprefix('#')}")
    return unknown(names, {*known, *codes}, place, f"{kind} or #rrggbb")
