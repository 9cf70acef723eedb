"""The boxes of a HEIC or AVIF file, in all the ways in which their standard lets them be written."""

import io
import struct

import numpy as np
import pytest
from PIL import ImageCms

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason
from tasks.imaging.boxes import is_cut_off, named_profile

OTHER, PRIMARY = 3, 7
BT_2020, DISPLAY_P3 = 9, 12


H_273 = {  # the chromaticities of red, green and blue, each under the white of D65
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: ((0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    BT_2020: ((0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    DISPLAY_P3: ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}


def xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _under_d50(primaries: int) -> np.ndarray:
    """As ICC profiles have them: by Bradford's matrix."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d65, d50 = xyz(0.3127, 0.3290), np.array([0.96422, 1.0, 0.82521])
    columns = np.stack([xyz(*one) for one in H_273[primaries]], axis=1)
    columns = columns * np.linalg.solve(columns, d65)
    return (np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ d65)) @ bradford @ columns).T


def box(kind: bytes, body: bytes, form: str = "short") -> bytes:
    """A box that says its size in four bytes, in eight, or that it goes on to the end."""
    if form == "long":
        return struct.pack(">I4sQ", 1, kind, 16 + len(body)) + body
    return struct.pack(">I4s", 8 + len(body) if form == "short" else 0, kind) + body


def colours(primaries: int, curve: int = 13) -> bytes:
    return box(b"colr", b"nclx" + struct.pack(">HHHB", primaries, curve, 6, 128))


def meta(properties: list[bytes], of: dict[int, list[int]], wide: bool = False, form: str = "short") -> bytes:
    """The box that says which of the properties, counted from 1, each item has; `wide` numbers have more bytes."""
    item, place = (">I", ">H") if wide else (">H", ">B")
    needed = 0x8000 if wide else 0x80  # a reader must know this property, which is no part of its number
    listed = struct.pack(">BBBBI", wide, 0, 0, wide, len(of))
    for name, indices in of.items():
        listed += struct.pack(item, name) + bytes([len(indices)])
        listed += b"".join(struct.pack(place, index | needed) for index in indices)
    body = box(b"pitm", bytes([wide, 0, 0, 0]) + struct.pack(item, PRIMARY))
    body += box(b"iprp", box(b"ipco", b"".join(properties)) + box(b"ipma", listed))
    return box(b"meta", bytes(4) + body, form)


def shown(data: bytes) -> np.ndarray | None:
    """The primaries of the profile that the file names, as XYZ in rows; None where it names none."""
    made = named_profile(data)
    if made is None:
        return None
    profile = ImageCms.ImageCmsProfile(io.BytesIO(made)).profile
    return np.array([getattr(profile, f"{name}_colorant")[0] for name in ("red", "green", "blue")])


def is_p3(data: bytes) -> bool:
    found = shown(data)
    return found is not None and np.abs(found - _under_d50(DISPLAY_P3)).max() < 0.001


@pytest.mark.parametrize("wide", [False, True])
def test_a_picture_has_the_colours_of_its_own_properties_wherever_they_stand(wide: bool) -> None:
    sizes = [box(b"ispe", bytes(12))] * (150 if wide else 2)
    properties = [*sizes, colours(BT_2020), box(b"colr", b"prof" + bytes(8)), colours(DISPLAY_P3), *sizes]
    bt_2020, profile, p3 = (len(sizes) + at for at in (1, 2, 3))
    of = {OTHER: [1, bt_2020], PRIMARY: [1, profile, p3]}
    assert is_p3(meta(properties, of, wide))
    assert not is_p3(meta(properties, {OTHER: [1, p3], PRIMARY: [1, bt_2020]}, wide))
    assert named_profile(meta(properties, {OTHER: [p3], PRIMARY: [1, profile]}, wide)) is None


def test_property_0_is_none() -> None:
    assert named_profile(meta([box(b"ispe", bytes(12)), colours(DISPLAY_P3)], {OTHER: [2], PRIMARY: [1, 0]})) is None


@pytest.mark.parametrize("form", ["short", "long", "open"])
def test_a_box_may_say_its_size_in_three_ways(form: str) -> None:
    before = box(b"mdat", bytes(20), "long")
    assert is_p3(before + meta([colours(DISPLAY_P3)], {PRIMARY: [1]}, form=form))
    whole = box(b"ftyp", b"heic") + box(b"mdat", bytes(20), form)
    assert not is_cut_off(whole)
    assert is_cut_off(whole[:-1]) == (form != "open")


def test_boxes_that_end_too_early_or_speak_of_what_is_not_there_name_no_colours() -> None:
    data = meta([colours(DISPLAY_P3)], {PRIMARY: [1]})
    assert named_profile(b"") is None
    assert named_profile(meta([colours(DISPLAY_P3)], {PRIMARY: [5]})) is None
    assert {named_profile(data[:end]) for end in range(len(data))} == {None}


@pytest.mark.parametrize("curve", [1, 2, 4, 6, 13, 14, 15, 16, 18])
def test_the_curves_of_screens_are_shown_and_those_of_hdr_refused(curve: int) -> None:
    for primaries in (1, 2, DISPLAY_P3):
        data = meta([colours(primaries, curve)], {PRIMARY: [1]})
        if curve < 16:
            assert is_p3(data) == (shown(data) is not None) == (primaries == DISPLAY_P3)
        else:
            with pytest.raises(Rejected, match=rf"in HDR or in rare colours \(H\.273's {primaries}/{curve}\)") as fault:
                named_profile(data)
            assert fault.value.reason == Reason.REFERENCE_UNREADABLE


def test_rare_colours_are_refused() -> None:
    with pytest.raises(Rejected, match="rare colours"):
        named_profile(meta([colours(11)], {PRIMARY: [1]}))


@pytest.mark.parametrize("primaries", H_273)
def test_a_profile_has_the_primaries_that_the_number_means(primaries: int) -> None:
    found = shown(meta([colours(primaries)], {PRIMARY: [1]}))
    assert found is not None
    assert np.abs(found - _under_d50(primaries)).max() < 0.001
