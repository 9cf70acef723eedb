"""From parameters to a run's context: the preset is read, the store opened, and the base model found."""

from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

from prefect.context import FlowRunContext

from catalog_schemas.errors import ConfigError
from configs.hex_colours import hex_colours
from configs.library import load_library
from configs.places import scene_at
from configs.preset import unknown_names
from configs.schema import RunConfig, VariantMatrix
from flows.compute.ray_cluster import refuse_without_ray
from flows.parameters import MakeVariantsParameters, RunParameters
from flows.presets import runnable_preset
from tasks.import_catalog import granted_prefixes
from tasks.read_catalog import catalog_batches
from tasks.runtime.context import RunContext, new_run_id
from tasks.runtime.models import find_model
from tasks.runtime.outages import outlived
from tasks.storage.objects import open_store
from tasks.techniques import find_guided, technique_names


def start_run(parameters: RunParameters, config: RunConfig | None = None) -> RunContext:
    """The context of a new run. Everything that can be wrong with what was asked for is found here.

    A deployment's run waits for a store that is away: `packshot serve` has found it there, and nobody is waiting.
    Raises CatalogError, ConfigError, ModelError and StoreError.
    """
    with outlived() if is_deployed() else nullcontext():
        return _started(parameters, config)


def is_deployed() -> bool:
    """Whether this is a run of a deployment, from its schedule or the form."""
    running = FlowRunContext.get()
    return bool(running and running.flow_run and running.flow_run.deployment_id)


def _started(parameters: RunParameters, config: RunConfig | None) -> RunContext:
    config = config or runnable_preset(parameters.preset)
    if config.compute.on_ray:
        refuse_without_ray()
    catalog = absolute_url(parameters.catalog)
    config = _with_prefixes(config, granted_prefixes(catalog))
    next(catalog_batches(catalog), None)  # before the store is opened: without a catalog nothing is left behind there
    open_store(parameters.store, config.store.single_writer)
    model = find_model(config.model)
    if config.training.evaluation and not model.scorer:
        raise ConfigError(
            "training.evaluation needs a CLIP model, but the base model's folder holds no clip/; set model.scorer"
        )
    for technique in config.variants.techniques:
        guided = find_guided(technique)
        if guided and guided.GUIDE == "edges" and not model.controlnet:
            raise ConfigError(
                f"variants.techniques: {technique!r} needs a ControlNet for Canny edges, but the base model's folder "
                "holds no controlnet/; set model.controlnet, or leave the technique out"
            )
    now = datetime.now(UTC)
    return RunContext(
        run_id=new_run_id(now),
        catalog=catalog,
        store=absolute_url(parameters.store),
        config=config,
        model=model,
        started_at=now,
    )


def chosen_config(parameters: MakeVariantsParameters) -> RunConfig:
    """The preset with the variants that the form asks for. A field left empty keeps the preset's choice.

    A place in words, and colours and backgrounds by hex code, are added to the scenes, colours and backgrounds that the
    form names; where it names none, they are the only ones. Raises ConfigError.
    """
    config = runnable_preset(parameters.preset)
    matrix = config.variants.model_dump()
    for name in ("scenes", "colours", "backgrounds", "techniques"):
        if chosen := getattr(parameters, name):
            matrix[name] = chosen
    for name, typed in (("colours", parameters.own_colours), ("backgrounds", parameters.own_backgrounds)):
        try:
            own = hex_colours(typed)
        except ValueError as fault:
            raise ConfigError(f"own {name}: {fault}") from None
        if own:
            matrix[name] = [*getattr(parameters, name), *own]
    if parameters.place.strip():
        try:
            place = scene_at(parameters.place).title
        except ValueError as fault:
            raise ConfigError(f"the place in your own words: {fault}") from None
        matrix |= {"scenes": parameters.scenes, "places": [place]}
    matrix |= {"images": parameters.images, "limit_per_sku": parameters.limit_per_sku}
    config = config.model_copy(update={"variants": VariantMatrix.model_validate(matrix)})
    if faults := unknown_names(config, load_library(*config.library), techniques=technique_names()):
        raise ConfigError("\n".join(faults))
    return config


def _with_prefixes(config: RunConfig, prefixes: tuple[str, ...]) -> RunConfig:
    catalog = config.catalog
    together = (*catalog.reference_prefixes, *prefixes)
    return config.model_copy(update={"catalog": catalog.model_copy(update={"reference_prefixes": together})})


def absolute_url(url: str) -> str:
    """A local path made absolute, since a worker may run elsewhere, file:// or not; other URLs stay as they are.

    It has no "..", so that a catalog is known by one name from wherever it is given; its links stay, for what they lead
    to may be another file each night.
    """
    local = url.removeprefix("file://")
    if "://" in local:
        return url
    path = Path(local).expanduser().absolute()
    return str(path.resolve() if ".." in path.parts else path)
