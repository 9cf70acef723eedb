"""What the boxes of a HEIC or AVIF file say that its decoders pass over: ISO/IEC 14496-12 and 23008-12.

They do not apply a colour space that is named by numbers (ITU-T H.273) instead of a profile: a picture in Display P3
would come out pale, one in HDR grey. And where a file ends too early, they leave tiles of a phone's picture empty.
"""

import struct
from collections.abc import Iterator

from PIL import ImageCms

from catalog_schemas.errors import Rejected
from catalog_schemas.rejection import Reason

# The primaries red, green and blue as XYZ under D50.
_COLUMNS = {
    5: ((0.45525, 0.23228, 0.01453), (0.36760, 0.70782, 0.10487), (0.14136, 0.05990, 0.70549)),  # PAL
    6: ((0.41629, 0.22168, 0.01365), (0.39320, 0.70328, 0.09133), (0.15471, 0.07504, 0.71993)),  # NTSC
    9: ((0.67348, 0.27904, -0.00193), (0.16566, 0.67535, 0.02998), (0.12505, 0.04561, 0.79685)),  # BT.2020
    12: ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407)),  # Display P3
}
_SRGB = (1, 2)  # BT.709's primaries, and none named
_CURVES = (1, 2, 4, 6, 13, 14, 15)  # sRGB's, and television's, which is shown as if it were; HDR's are 16 and 18


def named_profile(data: bytes) -> bytes | None:
    """The ICC profile for a HEIC's or AVIF's primary picture, if its numbers ask for another one than sRGB.

    Raises `Rejected` REFERENCE_UNREADABLE where they mean HDR, or what only cinemas show.
    """
    primaries, curve = _numbers(data)
    if curve not in _CURVES or primaries not in (*_SRGB, *_COLUMNS):
        detail = f"a picture in HDR or in rare colours (H.273's {primaries}/{curve}): save it as JPEG in sRGB"
        raise Rejected(Reason.REFERENCE_UNREADABLE, detail)
    return _profile(primaries) if primaries in _COLUMNS else None


def is_cut_off(data: bytes) -> bool:
    """Whether a HEIC or AVIF ends before its picture's data do."""
    return any(kind == b"mdat" and end > len(data) for kind, _, end in _boxes(data))


def _numbers(data: bytes) -> tuple[int, int]:
    """The primaries and the transfer curve of the primary picture; 2, 2 where none are named, or the boxes lie."""
    try:
        meta = _body(data, b"meta")[4:]
        first, properties = _body(meta, b"pitm"), _body(meta, b"iprp")
        item = struct.unpack_from(">I" if first[0] else ">H", first, 4)[0]
        store = _body(properties, b"ipco")
        none = (b"", b"")  # what number 0 means
        listed = [none, *((kind, store[begin:end]) for kind, begin, end in _boxes(store))]
        for index in _indices(_body(properties, b"ipma"), item):
            kind, body = listed[index]
            if kind == b"colr" and body[:4] == b"nclx":
                primaries, curve = struct.unpack_from(">HH", body, 4)
                return primaries, curve
    except (IndexError, struct.error):
        pass
    return 2, 2


def _boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes in `data`: their kind, where their body begins, and where it ends, which may be beyond `data`."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if size == 1 and at + 16 <= len(data):
            size, begin = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        end = at + size if size else len(data)
        yield kind, begin, end
        at = max(end, begin)


def _body(data: bytes, kind: bytes) -> bytes:
    """The body of the first box of this kind; empty where there is none."""
    return next((data[begin:end] for found, begin, end in _boxes(data) if found == kind), b"")


def _indices(ipma: bytes, item: int) -> Iterator[int]:
    """The properties of an item, counted from 1; 0 stands for none."""
    wide, at = ipma[3] & 1, 8
    name = ">I" if ipma[0] else ">H"
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        owner = struct.unpack_from(name, ipma, at)[0]
        at += struct.calcsize(name)
        count, at = ipma[at], at + 1
        values = struct.unpack_from(f">{count}{'H' if wide else 'B'}", ipma, at)
        at += count * (2 if wide else 1)
        if owner == item:
            yield from (value & (0x7FFF if wide else 0x7F) for value in values)


def _profile(primaries: int) -> bytes:
    """sRGB's own profile with these primaries, under another name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for at in range(132, 132 + 12 * struct.unpack_from(">I", data, 128)[0], 12):
        tag, offset = struct.unpack_from(">4sI", data, at)
        if tag in (b"rXYZ", b"gXYZ", b"bXYZ"):
            column = _COLUMNS[primaries][b"rgb".index(tag[:1])]
            struct.pack_into(">3i", data, offset + 8, *(round(value * 65536) for value in column))
    return bytes(data).replace("sRGB".encode("utf-16-be"), "wide".encode("utf-16-be"))
