"""What the model draws along."""

from catalog_schemas.product import Product
from configs.library import load_library
from configs.schema import GenerationConfig, VariantMatrix
from tasks.planning.matrix import Drawing, expand
from tasks.runtime.pictures import in_colour
from tasks.techniques import CutOut, Material, sketch
from tests.imaging.pictures import mug


def test_a_recoloured_product_has_the_edges_of_its_photo():
    """In black most of its lines would be lost, and in any colour what was recoloured wrongly would be drawn along."""
    matrix = VariantMatrix(techniques=("sketch",), scenes=("wooden-table",), colours=("original", "black"))
    product = Product("mug-1", "Mug", "mug", ())
    specs = expand(product, matrix, GenerationConfig(), load_library(), Drawing("sks", "adapter", "", (), 256, 0))
    photo = CutOut(*mug(256))
    material = Material(None, lambda spec: in_colour(photo, spec.colour_hex, "") if spec.colour_hex else photo)
    own, black = (sketch.guide(spec, material).rgb for spec in specs)
    assert own.any()
    assert (own == black).all()
