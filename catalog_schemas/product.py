"""One catalog row, and the Arrow schema that a catalog file must have."""

from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

SCHEMA_VERSION = 1
WORDS_MAXIMUM = 40

CATALOG_SCHEMA = pa.schema(
    [
        pa.field("sku", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("class_noun", pa.string(), nullable=False),
        pa.field("references", pa.list_(pa.string()), nullable=False),
        pa.field("masks", pa.list_(pa.string())),
        pa.field("attributes", pa.map_(pa.string(), pa.string())),
        pa.field("category", pa.string()),
        pa.field("brand", pa.string()),
        pa.field("locale", pa.string()),
        pa.field("updated_at", pa.timestamp("us", tz="UTC")),
    ],
    metadata={"packshot.schema": "product", "packshot.schema_version": str(SCHEMA_VERSION)},
)


@dataclass(frozen=True, slots=True)
class Listing:
    """What the shop's own system says of a product: its title and handle there, the ids of its items, a line each, and
    its category.

    `handle` and `ids` are empty where nobody said; then they follow from the SKU.
    """

    title: str
    handle: str = ""
    ids: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Product:
    """A SKU with its title, class noun, attributes and reference photos.

    `references` holds URLs of photos, or one URL of a folder of photos; relative ones are resolved against the
    catalog file. `masks` is empty, or holds one mask URL per reference, white where the product is.
    """

    sku: str
    title: str
    class_noun: str
    references: tuple[str, ...]
    masks: tuple[str, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    category: str = ""
    brand: str = ""
    locale: str = ""
    updated_at: datetime | None = None

    def is_in(self, category: str) -> bool:
        """Whether its category contains this text, in whatever case: the way in which people ask for one."""
        return category.lower() in self.category.lower()

    @property
    def listing(self) -> Listing:
        """What importers have left in the attributes about where the product came from."""
        attributes = self.attributes
        title = attributes.get("product title", "") or self.title
        return Listing(title, attributes.get("handle", ""), attributes.get("google ids", ""), self.category)

    def in_words(self, names: tuple[str, ...]) -> str:
        """The first of these attributes that it has, as a prompt may name it: lower case, single spaces.

        Attributes may be named in any case. Empty where it has none, or where the value is too long for a colour:
        above `WORDS_MAXIMUM` characters.
        """
        held = {name.casefold(): value for name, value in self.attributes.items() if value}
        value = next((held[name.casefold()] for name in names if name.casefold() in held), "")
        words = " ".join(value.lower().split())
        return words if len(words) <= WORDS_MAXIMUM else ""
