"""The columns of `tables/images` that hold JSON: what made an image, and what let it pass."""

from pydantic import TypeAdapter

from catalog_schemas.image import CheckResult
from catalog_schemas.variant import VariantSpec

SPEC = TypeAdapter(VariantSpec)
CHECKS = TypeAdapter(tuple[CheckResult, ...])
