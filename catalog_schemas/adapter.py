"""What was learned for one SKU: what determines it, and where it lies."""

from dataclasses import dataclass
from datetime import datetime

from catalog_schemas.identity import content_id


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """All that determines an adapter; its `id` is the hash of it.

    `base_model` is the base model's own identity (hub id and revision, or a hash of its weights), `references` the
    sorted ids of the photos as listed, `recipe` the canonical JSON of the training settings. `start` is the id of the
    class adapter that training begins with, or empty. A class adapter has no `sku`; it is learned from the photos of
    many SKUs of its class noun. `colour` is what the photos' captions call the product's colour, or empty.
    """

    sku: str
    class_noun: str
    base_model: str
    references: tuple[str, ...]
    recipe: str
    trainer_version: int
    start: str = ""
    colour: str = ""

    @property
    def id(self) -> str:
        """64 hex digits."""
        return content_id(self)


@dataclass(frozen=True, slots=True)
class AdapterFile:
    """An adapter's LoRA file: its store key, and the SHA-256 and number of its bytes."""

    key: str
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class AdapterRecord:
    """One trained adapter: a row of `tables/adapters`; one of a whole class has no `sku`.

    `token` is the word that stands for the product in prompts. `key` is the store key of the LoRA safetensors file,
    `sha256` and `bytes` describe that file. `loss_before` and `loss_after` are the loss on one fixed set of crops,
    timesteps and noises, before and after training, so that they compare. `curve` is the JSON of the looks that were
    taken on the way, or empty. `seconds` is the cohort's training time divided by its SKUs. `start` is the id of the
    class adapter that it began with, or empty. `embedding` is the store key of the learned words alone, as a
    textual-inversion file, or empty where there are none. `colour` is what captions called the product's colour. A row
    with `retired_at` no longer counts: its adapter is trained again where a variant needs it.
    """

    adapter_id: str
    sku: str
    class_noun: str
    token: str
    base_model: str
    references: tuple[str, ...]
    recipe: str
    trainer_version: int
    key: str
    sha256: str
    bytes: int
    steps: int
    loss_before: float
    loss_after: float
    curve: str
    seconds: float
    run_id: str
    created_at: datetime
    start: str = ""
    embedding: str = ""
    colour: str = ""
    retired_at: datetime | None = None

    @property
    def file(self) -> AdapterFile:
        """The LoRA file."""
        return AdapterFile(self.key, self.sha256, self.bytes)
