"""What the store holds already: adapters, live images, and images that the gate refused."""

from dataclasses import dataclass, fields
from typing import Any, Self

from pydantic import TypeAdapter

from catalog_schemas.adapter import AdapterSpec
from catalog_schemas.rejection import Reason
from catalog_schemas.variant import VariantSpec
from tasks.storage.objects import ObjectStore
from tasks.storage.tables import Tables

_ADAPTER_REASONS = {
    "references": "photo changed",
    "class_noun": "class noun changed",
    "recipe": "recipe changed",
    "base_model": "model changed",
    "trainer_version": "trainer changed",
}
_IMAGE_REASONS = {
    "references": "photo changed",
    "base_model": "model changed",
    "adapter_id": "adapter changed",
    "colour_hex": "colour changed",
    "background_hex": "background changed",
    "prompt": "scene changed",
    "negative_prompt": "scene changed",
    "surface": "scene changed",
}
_FINAL = (Reason.CHECK_FAILED, Reason.FINISH_FAILED, Reason.RENDER_FAILED)  # trying again would give the same
_SPEC = TypeAdapter(VariantSpec)


@dataclass(frozen=True)
class Known:
    """Ids of `adapters` and live `images`, the newest adapter specs by SKU, and the JSON of live variants by slot.

    `refused` holds the ids of what cannot be had: variants, their trials at the gate, and images.
    """

    adapters: set[str]
    specs: dict[str, AdapterSpec]
    images: set[str]
    slots: dict[str, str]
    refused: set[str]

    @classmethod
    def of(cls, store: ObjectStore) -> Self:
        """Read from the tables."""
        tables = Tables(store)
        names = ["adapter_id", *(f.name for f in fields(AdapterSpec)), "created_at"]
        rows = tables.read("adapters", names).sort_by("created_at").to_pylist()
        specs = {row["sku"]: _adapter_spec(row) for row in rows}
        live = tables.live_images(["image_id", "slot", "spec"])
        images = live.to_pydict()
        refused = tables.read("rejections", ["subject"], [("reason", "in", [str(reason) for reason in _FINAL])])
        return cls(
            adapters={row["adapter_id"] for row in rows},
            specs=specs,
            images=set(images["image_id"]),
            slots=dict(zip(images["slot"], images["spec"], strict=True)),
            refused=set(refused.to_pydict()["subject"]),
        )

    def why_train(self, spec: AdapterSpec) -> str:
        """The reason to train this adapter; empty where it is there."""
        if spec.id in self.adapters:
            return ""
        return self._what_changed(spec)

    def why_render(self, spec: VariantSpec, channels: list[str]) -> str:
        """The reason to make this variant for these channels, from what its place in the matrix holds now."""
        held = next((self.slots[slot] for slot in (slot_of(spec, c) for c in channels) if slot in self.slots), None)
        if held is None:
            return "new"
        old = _SPEC.validate_json(held)
        if old == spec:
            return "channel changed"
        changed = {f.name for f in fields(VariantSpec) if getattr(old, f.name) != getattr(spec, f.name)}
        return next((why for name, why in _IMAGE_REASONS.items() if name in changed), "settings changed")

    def _what_changed(self, spec: AdapterSpec) -> str:
        old = self.specs.get(spec.sku)
        if old is None:
            return "new"
        changed = (name for name in _ADAPTER_REASONS if getattr(old, name) != getattr(spec, name))
        return _ADAPTER_REASONS[next(changed)]


def slot_of(spec: VariantSpec, channel: str) -> str:
    """The place of an image: what it shows, whatever its pixels are."""
    return f"{spec.sku}/{channel}/{spec.name}"


def _adapter_spec(row: dict[str, Any]) -> AdapterSpec:
    return AdapterSpec(**{f.name: row[f.name] for f in fields(AdapterSpec)} | {"references": tuple(row["references"])})
