"""What the store holds already: adapters, live images, and images that the gate refused or a person rejected."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, Self

from catalog_schemas.adapter import AdapterFile, AdapterSpec
from catalog_schemas.rejection import Reason
from catalog_schemas.review import Verdict
from catalog_schemas.variant import VariantSpec
from tasks.publishing.json_columns import SPEC
from tasks.publishing.reviews import Picture, reviewed
from tasks.runtime.identities import slot_of
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

_ADAPTER_REASONS = {
    "references": "photo changed",
    "class_noun": "class noun changed",
    "recipe": "recipe changed",
    "start": "class adapter changed",
    "colour": "colour changed",
    "base_model": "model changed",
    "trainer_version": "trainer changed",
}
_IMAGE_REASONS = {
    "references": "photo changed",
    "base_model": "model changed",
    "upscaler": "model changed",
    "controlnet": "model changed",
    "adapter_id": "adapter changed",
    "colour_hex": "colour changed",
    "colour_word": "colour changed",
    "own_colour_hex": "colour changed",
    "background_hex": "background changed",
    "prompt": "scene changed",
    "scene_prompt": "scene changed",
    "scene_photo": "scene changed",
    "surface": "scene changed",
    "across": "scene changed",
    "size": "scene changed",
    "renderer_version": "renderer changed",
    "technique_version": "technique changed",
}
# Trying again would give the same.
_FINAL = (Reason.TRAINING_DIVERGED, Reason.RENDER_FAILED, Reason.CHECK_FAILED, Reason.FINISH_FAILED)
_COLUMNS = ["adapter_id", *(f.name for f in fields(AdapterSpec)), "key", "sha256", "bytes", "created_at"]


@dataclass(frozen=True)
class LiveImage:
    """A live row of `tables/images`; `spec` is the JSON of its variant."""

    image_id: str
    slot: str
    spec: str
    origin: str
    title: str


@dataclass(frozen=True)
class Known:
    """The files of `adapters` by their ids, the newest adapter specs and the live images by SKU.

    `refused` holds, by SKU, the ids of what cannot be had: adapters, variants, their trials at the gate, and images.
    `rejected` holds pictures that a person has turned down, each by the id of its variant and its slot.
    """

    adapters: dict[str, AdapterFile]
    specs: dict[str, AdapterSpec]
    live: dict[str, list[LiveImage]]
    images: set[str]
    slots: dict[str, LiveImage]
    refused: dict[str, set[str]]
    rejected: set[Picture] = field(default_factory=set)

    @classmethod
    def of(cls, store: ObjectStore, skus: list[str]) -> Self:
        """What the tables hold of these SKUs."""
        if not skus:
            return cls({}, {}, {}, set(), {}, {})
        tables, mine = Tables(store), [("sku", "in", skus)]
        rows = tables.live_adapters(_COLUMNS, mine).sort_by("created_at").to_pylist()
        live: dict[str, list[LiveImage]] = defaultdict(list)
        for row in tables.live_images(["sku", *(f.name for f in fields(LiveImage))], skus).to_pylist():
            live[row.pop("sku")].append(LiveImage(**row))
        final = [*mine, ("reason", "in", [str(reason) for reason in _FINAL])]
        images = [image for of_sku in live.values() for image in of_sku]
        refused: dict[str, set[str]] = defaultdict(set)
        for row in tables.read("rejections", ["sku", "subject"], final).to_pylist():
            refused[row["sku"]].add(row["subject"])
        return cls(
            adapters=_files(rows),
            specs={row["sku"]: _adapter_spec(row) for row in rows},
            live=live,
            images={image.image_id for image in images},
            slots={image.slot: image for image in images},
            refused=dict(refused),
            rejected=reviewed(tables, Verdict.REJECTED, skus),
        )

    def images_of(self, skus: Iterable[str]) -> list[str]:
        """The ids of all live images of some SKUs."""
        return [image.image_id for sku in skus for image in self.live.get(sku, [])]

    def without_place(self, sku: str, slots: set[str]) -> list[str]:
        """The ids of a SKU's live images that the nightly matrix once asked for, and no longer asks for."""
        mine = self.live.get(sku, [])
        return [image.image_id for image in mine if image.origin == "catalog" and image.slot not in slots]

    def why_train(self, spec: AdapterSpec) -> str:
        """The reason to train this adapter; empty where it is there."""
        if spec.id in self.adapters:
            return ""
        return self._what_changed(spec)

    def why_render(self, spec: VariantSpec, channels: list[str], title: str) -> str:
        """The reason to make this variant for these channels, from what its place in the matrix holds now."""
        held = next((self.slots[slot] for slot in (slot_of(spec, c) for c in channels) if slot in self.slots), None)
        if held is None:
            return "new"
        old = SPEC.validate_json(held.spec)
        if old == spec:
            return "channel or finisher changed" if held.title == title else "title changed"
        changed = {f.name for f in fields(VariantSpec) if getattr(old, f.name) != getattr(spec, f.name)}
        return next((why for name, why in _IMAGE_REASONS.items() if name in changed), "settings changed")

    def _what_changed(self, spec: AdapterSpec) -> str:
        old = self.specs.get(spec.sku)
        if old is None:
            return "new"
        changed = (name for name in _ADAPTER_REASONS if getattr(old, name) != getattr(spec, name))
        return _ADAPTER_REASONS[next(changed)]


def class_adapters(
    store: ObjectStore, base_model: str, recipe: str, trainer_version: int
) -> tuple[dict[str, AdapterSpec], dict[str, AdapterFile]]:
    """The class adapters that the store holds for a base model and a recipe, by class noun, the oldest of each; and the
    files of all class adapters, by id."""
    table = Tables(store).live_adapters(_COLUMNS, [("sku", "==", "")]).sort_by([("created_at", "descending")])
    rows, same = table.to_pylist(), (base_model, recipe, trainer_version)
    specs = [_adapter_spec(row) for row in rows]
    held = {one.class_noun: one for one in specs if (one.base_model, one.recipe, one.trainer_version) == same}
    return held, _files(rows)


def _files(rows: list[dict[str, Any]]) -> dict[str, AdapterFile]:
    return {row["adapter_id"]: AdapterFile(row["key"], row["sha256"], row["bytes"]) for row in rows}


def _adapter_spec(row: dict[str, Any]) -> AdapterSpec:
    values = {f.name: row[f.name] for f in fields(AdapterSpec)}
    # a store that an older packshot wrote has no columns for these
    later = {name: row[name] or "" for name in ("start", "colour")}
    return AdapterSpec(**values | {"references": tuple(row["references"])} | later)
