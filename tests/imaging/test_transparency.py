import numpy as np
from PIL import Image
from scipy import ndimage

from tasks.imaging.compose import on_flat
from tasks.imaging.decode import decode
from tasks.imaging.pixels import Mask, Rgb
from tasks.imaging.transparency import off_white, without_shadow
from tests.imaging.pictures import encoded

RED, GLASS = (200, 30, 40), (150, 190, 210)
Y, X = np.mgrid[:160, :160]
PRODUCT = ndimage.gaussian_filter(((abs(X - 80) < 30) & (abs(Y - 70) < 40)).astype(np.float32), 0.7)
SHADOW = 0.55 * ndimage.gaussian_filter(((abs(X - 84) < 40) & (abs(Y - 112) < 6)).astype(np.float32), 6)


def decoded(colours: np.ndarray, alpha: np.ndarray) -> tuple[Rgb, Mask]:
    image = Image.fromarray(np.dstack([colours, 255 * alpha]).round().clip(0, 255).astype(np.uint8))
    photo = decode(encoded(image, "PNG"), 1_000_000)
    assert photo.alpha is not None
    return photo.rgb, photo.alpha


def test_a_shadow_in_the_file_is_left_out_and_the_product_stays():
    both = PRODUCT + SHADOW * (1 - PRODUCT)
    rgb, alpha = decoded(np.array(RED) * (PRODUCT / np.maximum(both, 1e-6))[..., None], both)
    mask = without_shadow(rgb, alpha)
    assert abs(mask - PRODUCT).max() < 0.12
    assert (mask[PRODUCT < 0.001] == 0).all()


def test_tinted_glass_is_no_shadow_though_it_is_dark_and_see_through():
    lens = 0.6 * PRODUCT
    rgb, alpha = decoded(np.zeros((160, 160, 3)), lens)
    assert (without_shadow(rgb, alpha) == alpha).all()


def test_glass_keeps_its_own_colour_on_a_new_ground():
    label = (abs(X - 80) < 12) & (abs(Y - 70) < 12)
    alpha = np.where(label, 1.0, 0.4 * (PRODUCT > 0.5) + 0.6 * (PRODUCT > 0.5) * (abs(Y - 70) > 35))
    rgb, alpha = decoded(np.where(label[..., None], RED, GLASS), alpha)
    drawn, mask = on_flat(off_white(rgb, alpha), alpha, "#202020", (160, 160), 0.5)
    seen = ndimage.binary_erosion(abs(mask - 0.4) < 0.01, iterations=3)
    assert seen.sum() > 1000
    assert np.ptp(drawn[seen].reshape(-1, 3), axis=0).max() <= 3
    assert drawn[seen][:, 2].mean() > drawn[seen][:, 0].mean() + 20
    on_white, _ = on_flat(off_white(rgb, alpha), alpha, "#ffffff", (160, 160), 0.5)
    assert abs(on_white[seen].mean(axis=0) - 0.4 * np.array(GLASS) - 0.6 * 255).max() <= 2, "as other programs show it"


def test_the_files_own_colours_come_back():
    colours = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    rgb, alpha = decoded(colours, np.full((40, 40), 0.5))
    assert abs(off_white(rgb, alpha).astype(int) - colours).max() <= 2
