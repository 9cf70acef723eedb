"""What a person or a schedule may ask for: one model per flow, which the Prefect UI shows as a form."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from configs.library import load_library


def _choices(name: str, values: list[str]) -> type[StrEnum]:
    return StrEnum(name, {value.replace("-", "_"): value for value in values})  # type: ignore[return-value]


_LIBRARY = load_library()
SceneChoice = _choices("SceneChoice", list(_LIBRARY.scenes))
ColourChoice = _choices("ColourChoice", list(_LIBRARY.colours))
BackgroundChoice = _choices("BackgroundChoice", list(_LIBRARY.backgrounds))


class TechniqueChoice(StrEnum):
    """How an image comes about, as the form offers it."""

    composite = "composite"
    regenerate = "regenerate"
    packshot = "packshot"


class RunParameters(BaseModel):
    """Where a run reads and writes."""

    model_config = ConfigDict(extra="forbid")

    catalog: str = Field(
        description="The catalog: path or URL of a Parquet file", min_length=1, json_schema_extra={"position": 90}
    )
    store: str = Field(
        description="The store: folder or URL that images and tables are written to",
        min_length=1,
        json_schema_extra={"position": 91},
    )
    preset: str = Field(
        "demo",
        title="Preset",
        description="demo, sd15, sdxl, or the path of a YAML file",
        min_length=1,
        json_schema_extra={"position": 92},
    )


class RefreshParameters(RunParameters):
    """The whole catalog: what is new or has changed is made, and nothing else."""


class MakeVariantsParameters(RunParameters):
    """Images of some products, chosen by hand."""

    skus: list[str] = Field(
        default=[],
        title="SKUs",
        description="Products by SKU; none means every product of the category below",
        max_length=1000,
        json_schema_extra={"position": 1},
    )
    category: str = Field(
        "",
        title="Category",
        description="Products whose category contains this text; empty means every category",
        max_length=200,
        json_schema_extra={"position": 2},
    )
    scenes: list[SceneChoice] = Field(  # type: ignore[valid-type]
        default=[],
        title="Scenes",
        description="Where the products stand; none means the preset's scenes",
        json_schema_extra={"position": 3},
    )
    colours: list[ColourChoice] = Field(  # type: ignore[valid-type]
        default=[],
        title="Colours",
        description="Colours to show the products in; none means their own",
        json_schema_extra={"position": 4},
    )
    backgrounds: list[BackgroundChoice] = Field(  # type: ignore[valid-type]
        default=[],
        title="Backgrounds",
        description="What is behind the products; none means what belongs to the scene",
        json_schema_extra={"position": 5},
    )
    techniques: list[TechniqueChoice] = Field(
        default=[TechniqueChoice.composite],
        title="Techniques",
        description=(
            "composite: the product's own pixels in a new scene; regenerate: drawn anew by the model; "
            "packshot: on plain white"
        ),
        json_schema_extra={"position": 6},
    )
    images: int = Field(
        1,
        title="Images of each",
        description="How many images of each combination",
        ge=1,
        le=20,
        json_schema_extra={"position": 7},
    )
    limit_per_sku: int = Field(
        20,
        title="At most, per product",
        description="No product gets more images than this",
        ge=1,
        le=500,
        json_schema_extra={"position": 8},
    )
    dry_run: bool = Field(
        False,
        title="Only show the plan",
        description="Lists what would be made, and makes nothing",
        json_schema_extra={"position": 9},
    )
