import io
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from configs.entries import Channel
from tasks.imaging.finish import finish
from tasks.imaging.marking import SOURCE_URIS, Marks, read_marks, xmp_packet

RGB = np.full((16, 16, 3), 90, np.uint8)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
MARKS = st.builds(Marks, st.sampled_from(list(SOURCE_URIS)), TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)


def finished(marks: Marks, form: str) -> bytes:
    return finish(RGB, Channel.model_validate({"name": "test", "title": "Test", "format": form}), marks)


def readable(text: str) -> str:
    """What XML can hold of a text."""
    kept = [
        letter
        for letter in text
        if letter in "\t\n" or " " <= letter < "\ud800" or "\ue000" <= letter <= "\ufffd" or letter > "\uffff"
    ]
    return "".join(kept).strip()


@settings(max_examples=60, deadline=None)
@given(MARKS, st.sampled_from(["jpeg", "png", "webp"]))
def test_marks_are_read_back_as_they_were_written(marks, form):
    found = read_marks(finished(marks, form))
    assert found.source_type == marks.source_type
    for name in ("ai_system", "ai_version", "prompt", "alt_text", "title", "creator_tool"):
        assert getattr(found, name).strip() == readable(getattr(marks, name)).strip()


@pytest.mark.parametrize("form", ["jpeg", "png", "webp"])
def test_hostile_texts_stay_text(form):
    hostile = '"/><x:evil xmlns:x="e">]]></rdf:RDF> & <!DOCTYPE a [<!ENTITY b "c">]> &b; {{7*7}} \x00\x08'
    marks = Marks("generated", hostile, hostile, hostile, hostile, hostile)
    found = read_marks(finished(marks, form))
    assert found.prompt == hostile.replace("\x00\x08", "").strip()
    assert b"x:evil" not in b"".join(
        element.tag.encode() for element in ElementTree.fromstring(xmp_packet(marks)).iter()
    )


def test_the_fields_are_iptcs():
    packet = xmp_packet(Marks("generated", "SD", "1.5", "a mug", "A red mug", "Mug")).decode()
    assert (
        "<Iptc4xmpExt:DigitalSourceType>http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia<"
        in packet
    )
    assert 'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"' in packet
    assert "<Iptc4xmpExt:AISystemUsed>SD</Iptc4xmpExt:AISystemUsed>" in packet
    assert "<Iptc4xmpCore:AltTextAccessibility><rdf:Alt>" in packet


def test_a_photo_that_no_model_touched_claims_no_source_type():
    assert "DigitalSourceType" not in xmp_packet(Marks("none", title="Mug")).decode()


def test_the_longest_texts_still_fit_a_jpeg():
    longest = "&" * 100_000
    marks = Marks("generated", longest, longest, longest, longest, longest, longest)
    assert read_marks(finished(marks, "jpeg")).prompt == "&" * 2000


def test_marks_written_by_other_tools_as_attributes_are_read():
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
        ' xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"><rdf:Description rdf:about=""'
        f' e:DigitalSourceType="{SOURCE_URIS["composite"]}" e:AISystemUsed="other"/></rdf:RDF></x:xmpmeta>'
    )
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG", xmp=packet.encode())
    assert read_marks(buffer.getvalue()) == Marks("composite", "other", creator_tool="")


@pytest.mark.parametrize("rest", [b"", b"\0\0"])
def test_marks_of_other_tools_may_stand_after_a_pngs_pixels_and_end_in_zeros(rest):
    info, buffer = PngInfo(), io.BytesIO()
    packet = xmp_packet(Marks("generated", title="Mug")) + rest
    info.add(b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + packet, after_idat=True)
    Image.fromarray(RGB).save(buffer, "PNG", pnginfo=info)
    assert read_marks(buffer.getvalue()) == Marks("generated", title="Mug")


def test_a_file_without_marks_has_none_and_a_broken_packet_is_an_error():
    buffer = io.BytesIO()
    Image.fromarray(RGB).save(buffer, "JPEG")
    assert read_marks(buffer.getvalue()) == Marks(creator_tool="")
    for packet in (b"<x", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'):
        buffer = io.BytesIO()
        Image.fromarray(RGB).save(buffer, "JPEG", xmp=packet)
        with pytest.raises(ValueError, match="XMP packet"):
            read_marks(buffer.getvalue())
    with pytest.raises(ValueError, match="no marks"):
        read_marks(b"no image")
