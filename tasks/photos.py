"""A product's photos as listed: found, and identified by their bytes, before anything is decoded."""

from catalog_schemas.errors import Rejected
from catalog_schemas.identity import bytes_id, content_id
from catalog_schemas.product import Product
from catalog_schemas.reference import Photo
from catalog_schemas.rejection import Reason
from configs.schema import CatalogConfig
from tasks.storage.sources import Sources

Faults = list[tuple[str, Rejected]]


def list_photos(product: Product, sources: Sources, config: CatalogConfig) -> tuple[list[Photo], Faults]:
    """The photos that can be read, in the catalog's order, and the verdict on each that cannot.

    Raises Rejected where the product lists no photo at all, or where it lists masks that do not pair with its photos.
    """
    uris = sources.expand(product.references)
    masks = [sources.resolve(mask) for mask in product.masks if mask]
    if not uris:
        raise Rejected(
            Reason.ROW_NO_REFERENCES, f"SKU {product.sku}: {', '.join(product.references)} holds no photo; add some"
        )
    if masks and len(masks) != len(uris):
        detail = f"SKU {product.sku}: {len(uris)} photos but {len(masks)} masks; give one mask per photo, or none"
        raise Rejected(Reason.ROW_FIELD_INVALID, detail)
    photos: list[Photo] = []
    faults: Faults = []
    for number, uri in enumerate(uris[: config.references_maximum]):
        try:
            photos.append(_identify(uri, masks[number] if masks else "", photos, sources, config))
        except Rejected as verdict:
            faults.append((uri, verdict))
    return photos, faults


def _identify(uri: str, mask: str, before: list[Photo], sources: Sources, config: CatalogConfig) -> Photo:
    limit = config.reference_bytes_maximum
    identity = bytes_id(sources.read(uri, limit))
    if mask:
        identity = content_id([identity, bytes_id(sources.read(mask, limit))])
    double = next((photo for photo in before if photo.id == identity), None)
    if double:
        raise Rejected(Reason.REFERENCE_DUPLICATE, f"{uri} has the same bytes as {double.uri}; it is used once")
    return Photo(uri, mask, identity)
