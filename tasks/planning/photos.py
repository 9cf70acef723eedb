"""A product's photos as listed: found, and identified by their bytes, before anything is decoded."""

from dataclasses import dataclass, field

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import content_id
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import PASSING, Reason
from configs.schema import CatalogConfig
from tasks.storage.sources import Sources


@dataclass(frozen=True)
class Listed:
    """A product with its photos: those that can be read, in the catalog's order, and the verdict on each that cannot.

    A verdict comes with the URI of its photo, or with the SKU where it is about all of them.
    """

    product: Product
    photos: list[Photo]
    faults: list[tuple[str, Rejected]] = field(default_factory=list)

    @property
    def awaits_photos(self) -> bool:
        """Whether a photo cannot be had for a reason that may be gone by the next run."""
        return any(verdict.reason in PASSING for _, verdict in self.faults)


def list_photos(product: Product, sources: Sources, config: CatalogConfig, segmenter: str) -> Listed:
    """The product with its photos.

    `segmenter` is the identity of the network that finds the product in photos without a mask, or empty.

    Raises Rejected where the product lists no photo at all, or where it lists masks that do not pair with its photos.
    """
    found = [entry for reference in product.references for entry in _expand(reference, sources)]
    if not found:
        where = ", ".join(product.references)
        detail = f"SKU {product.sku}: {where} holds no photo; add some (folders in a folder are not searched)"
        raise Rejected(Reason.ROW_NO_REFERENCES, detail)
    masks = product.masks if any(product.masks) else ("",) * len(found)
    if len(masks) != len(found):
        detail = f"SKU {product.sku}: {len(found)} photos but {len(masks)} masks; give one mask per photo, or none"
        raise Rejected(Reason.ROW_FIELD_INVALID, detail)
    listed = Listed(product, [])
    for (uri, verdict), mask in list(zip(found, masks, strict=True))[: config.references_maximum]:
        try:
            if verdict:
                raise verdict
            listed.photos.append(_identify(uri, mask, listed.photos, sources, segmenter))
        except Rejected as fault:
            listed.faults.append((uri, fault))
    return listed


def no_usable_photo(sku: str, photos: int) -> str:
    """The verdict on a SKU of which no photo is usable, in words."""
    return f"SKU {sku}: none of its {photos} photos is usable; see the verdict on each, and send new ones"


def _expand(reference: str, sources: Sources) -> list[tuple[str, Rejected | None]]:
    """The photos that one reference means; one that is not allowed stands for itself, with the verdict on it."""
    try:
        return [(uri, None) for uri in sources.expand((reference,))]
    except Rejected as verdict:
        return [(reference, verdict)]


def _identify(uri: str, mask: str, before: list[Photo], sources: Sources, segmenter: str) -> Photo:
    mask = sources.resolve(mask) if mask else ""
    content, stamp = sources.content(uri)
    mask_content, mask_stamp = sources.content(mask) if mask else ("", "")
    photo = Photo(uri, mask, identity(content, mask_content or segmenter), content, mask_content, stamp, mask_stamp)
    double = next((one for one in before if one.id == photo.id), None)
    if double:
        raise Rejected(Reason.REFERENCE_DUPLICATE, f"{uri} has the same bytes as {double.uri}; it is used once")
    return photo


def identity(content: str, mask: str) -> str:
    """A photo's id, from the hash of its bytes and that of its mask's, or of the network that finds it, if any."""
    return content_id([content, mask]) if mask else content


def fetched_key(content: str) -> str:
    """Where the bytes of a photo from the web wait for the stage that prepares it."""
    return f"cache/photos/{content}"
