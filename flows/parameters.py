"""What a person or a schedule may ask for: one model per flow, which the Prefect UI shows as a form."""

import re
import unicodedata
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator

from catalog_schemas.errors import ConfigError
from catalog_schemas.review import NOTE_MAXIMUM
from configs.hex_colours import LISTED
from configs.library import Library, load_library
from configs.places import LONGEST
from tasks.planning.rows import Selection
from tasks.techniques import technique_names

_SKU = re.compile(r"""[ ]*(?:"((?:[^"\r\n]|"")+)"(?=[ ]*(?:[,;\t\r\n]|$))|([^,;\t\r\n]+))""")


def choices(library: Library) -> dict[str, dict[str, Any]]:
    """What the form offers to choose from, by field: JSON schemas of lists. A run checks names itself."""
    offered = {
        "scenes": list(library.scenes),
        "colours": list(library.colours),
        "backgrounds": list(library.backgrounds),
        "techniques": technique_names(),
    }
    return {
        field: {"type": "array", "items": {"type": "string", "title": field, "enum": names}}
        for field, names in offered.items()
    }


_SHIPPED = {field: WithJsonSchema(schema) for field, schema in choices(load_library()).items()}


class StoreParameters(BaseModel):
    """Where images and tables are."""

    model_config = ConfigDict(extra="forbid")

    store: str = Field(
        title="Store",
        description="Filled in already. Folder or URL that images and tables are written to",
        min_length=1,
        json_schema_extra={"position": 91},
    )


class RunParameters(StoreParameters):
    """Where a run reads and writes."""

    catalog: str = Field(
        title="Catalog",
        description="Filled in already. Path or URL of a Parquet file",
        min_length=1,
        json_schema_extra={"position": 90},
    )
    preset: str = Field(
        title="Preset",
        description="Filled in already. demo, sd15, sdxl, or the path of a YAML file",
        min_length=1,
        json_schema_extra={"position": 92},
    )


class RefreshParameters(RunParameters):
    """The whole catalog: only what is new or has changed is made. All is filled in already: press Submit."""

    limit: int = Field(
        0,
        title="At most so many products",
        description="Products that are new or changed and go beyond it wait for the next run. 0: all",
        ge=0,
        json_schema_extra={"position": 1},
    )

    @property
    def products(self) -> Selection:
        """The whole catalog."""
        return Selection(limit=self.limit)


class MakeVariantsParameters(RunParameters):
    """Say which products (SKUs or a category), choose scenes and colours, and press Submit at the bottom."""

    skus: str = Field(
        "",
        title="SKUs",
        description=(
            "The products, by SKU, with commas or line breaks between them: MUG-01, VASE-02. "
            "Copied cells of a spreadsheet will do. A SKU with a comma in it goes into quotes"
        ),
        max_length=100_000,
        json_schema_extra={"position": 1},
    )
    category: str = Field(
        "",
        title="Category",
        description=("Or all products whose category contains this text: mugs. With SKUs above, both must hold"),
        max_length=200,
        json_schema_extra={"position": 2},
    )
    scenes: Annotated[list[str], _SHIPPED["scenes"]] = Field(
        default=[],
        title="Scenes",
        description=(
            "Where the products stand. None chosen: the usual ones. A scene that does not suit a product is left out"
        ),
        json_schema_extra={"position": 3},
    )
    place: str = Field(
        "",
        title="A place in your own words",
        description=(
            "In English, for where no scene does: a mossy rock in a forest, morning mist. "
            "It comes to the scenes chosen above, or is the only one"
        ),
        max_length=LONGEST,
        json_schema_extra={"position": 4},
    )
    colours: Annotated[list[str], _SHIPPED["colours"]] = Field(
        default=[],
        title="Colours",
        description=("Colours to show the products in; original is as photographed. None chosen: the usual ones"),
        json_schema_extra={"position": 5},
    )
    own_colours: str = Field(
        "",
        title="Own colours",
        description=(
            "By their hex codes, for where no colour does: #1a7f5a, #abc. "
            "They come to the colours chosen above, or are the only ones"
        ),
        max_length=200,
        json_schema_extra={"position": 6, "pattern": LISTED},
    )
    backgrounds: Annotated[list[str], _SHIPPED["backgrounds"]] = Field(
        default=[],
        title="Backgrounds",
        description="What is behind the products. None chosen: what belongs to the scene",
        json_schema_extra={"position": 7},
    )
    own_backgrounds: str = Field(
        "",
        title="Own background colours",
        description=(
            "Plain backgrounds, without a scene, likewise: #f5efe6. "
            "They come to the backgrounds chosen above, or are the only ones"
        ),
        max_length=200,
        json_schema_extra={"position": 8, "pattern": LISTED},
    )
    techniques: Annotated[list[str], _SHIPPED["techniques"]] = Field(
        default=["composite"],
        title="Techniques",
        description=(
            "composite: the product as photographed, put into a new scene. packshot: the same on white. "
            "restyle: a composite, its product lit as the model draws it there. regenerate: the product drawn anew. "
            "sketch: drawn anew along the photo's outline"
        ),
        json_schema_extra={"position": 9},
    )
    images: int = Field(
        1,
        title="Images of each",
        description="How many of each product, scene, colour and technique: 1 to 20",
        ge=1,
        le=20,
        json_schema_extra={"position": 10},
    )
    limit_per_sku: int = Field(
        20,
        title="At most, for one product",
        description="No product gets more images than this in all: 1 to 500",
        ge=1,
        le=500,
        json_schema_extra={"position": 11},
    )
    dry_run: bool = Field(
        False,
        title="Only show what would be made",
        description="Makes nothing: the run's page lists the images under Artifacts",
        json_schema_extra={"position": 12},
    )

    @field_validator("skus", mode="before")
    @classmethod
    def _written_out(cls, value: object) -> object:
        """A list, as code would give it, is the text that a person would type."""
        return "\n".join(map(_typed, value)) if isinstance(value, (list, tuple)) else value

    @property
    def products(self) -> Selection:
        """The products that are meant. Raises ConfigError where none is: the whole catalog is the night's."""
        text = unicodedata.normalize("NFC", self.skus)
        parts = (quoted.replace('""', '"') or plain for quoted, plain in _SKU.findall(text))
        skus = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
        if not skus and not self.category.strip():
            raise ConfigError(
                "no product is named: fill in SKUs, or Category; for the whole catalog start nightly-refresh instead"
            )
        return Selection(skus, self.category.strip())


class ReviewParameters(StoreParameters):
    """In the gallery, click ✓ or ✗ on images, press Copy at the bottom, paste here, and press Submit."""

    reject: str = Field(
        "",
        title="Reject",
        description="These images go at once, and others are made in their place: what the gallery copied, or links",
        max_length=1_000_000,
        json_schema_extra={"position": 1},
    )
    approve: str = Field(
        "",
        title="Approve",
        description="These images are good: what the gallery copied, or links",
        max_length=1_000_000,
        json_schema_extra={"position": 2},
    )
    note: str = Field(
        "",
        title="Why",
        description="Kept beside the verdicts: the label is cut",
        max_length=NOTE_MAXIMUM,
        json_schema_extra={"position": 3},
    )


def _typed(sku: object) -> str:
    """A SKU as a person types it: in quotes where it holds what else would end it."""
    text = str(sku)
    return '"{}"'.format(text.replace('"', '""')) if re.search(r"[,;\t\"]", text) else text
