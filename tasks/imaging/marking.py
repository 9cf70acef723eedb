"""Say in the file itself how an image came about: an XMP packet of IPTC's fields for synthetic media.

Fields and values follow the IPTC Photo Metadata Standard 2025.1 (https://iptc.org/std/photometadata/specification)
and its Digital Source Type vocabulary (http://cv.iptc.org/newscodes/digitalsourcetype/).
"""

import io
import re
from dataclasses import dataclass
from typing import Literal
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from PIL import Image

from tasks.imaging.formats import FORMATS

SourceType = Literal["generated", "composite", "none"]

SOURCE_URIS: dict[SourceType, str] = {
    "generated": "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia",
    "composite": "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia",
    "none": "",
}
_SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
    "Iptc4xmpCore": "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/",
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
}
_PLAIN = {
    "Iptc4xmpExt:AISystemUsed": "ai_system",
    "Iptc4xmpExt:AISystemVersionUsed": "ai_version",
    "Iptc4xmpExt:AIPromptInformation": "prompt",
    "xmp:CreatorTool": "creator_tool",
}
_BY_LANGUAGE = {"dc:title": "title", "Iptc4xmpCore:AltTextAccessibility": "alt_text"}
_NOT_XML = re.compile("[^\t\n -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A JPEG holds its packet in one segment of 64 KiB; six texts, and "&amp;" is five.
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Marks:
    """What an image file says about itself; empty fields are left out.

    `source_type`: "generated" was wholly drawn by a model, "composite" is a real cut-out in a generated picture or
    light, "none" is a photo that no model touched. Each text is cut after 2,000 characters.
    """

    source_type: SourceType = "none"
    ai_system: str = ""
    ai_version: str = ""
    prompt: str = ""
    alt_text: str = ""
    title: str = ""
    creator_tool: str = "packshot"


def xmp_packet(marks: Marks) -> bytes:
    """The XMP packet, the same bytes for the same marks."""
    properties = []
    if uri := SOURCE_URIS[marks.source_type]:
        properties.append(f"<Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>")
    for tag, name in _PLAIN.items():
        if text := _text(getattr(marks, name)):
            properties.append(f"<{tag}>{text}</{tag}>")
    for tag, name in _BY_LANGUAGE.items():
        if text := _text(getattr(marks, name)):
            properties.append(f'<{tag}><rdf:Alt><rdf:li xml:lang="x-default">{text}</rdf:li></rdf:Alt></{tag}>')
    spaces = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in _SPACES.items())
    packet = (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF {spaces}><rdf:Description rdf:about="">{"".join(properties)}</rdf:Description></rdf:RDF>'
        '</x:xmpmeta><?xpacket end="r"?>'
    )
    return packet.encode()


def read_marks(data: bytes) -> Marks:
    """The marks in a JPEG, PNG or WebP file's XMP; a file without any gives `Marks(creator_tool="")`.

    Raises ValueError when the file is no such image, or its packet is not the XML it should be.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()  # a PNG may carry its texts after the pixels
            packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    except OSError as error:
        raise ValueError(f"no marks can be read: {error}") from None
    packet = packet if isinstance(packet, bytes) else packet.encode()
    if not packet:
        return Marks(creator_tool="")
    if b"<!DOCTYPE" in packet or b"<!ENTITY" in packet:
        raise ValueError("the XMP packet declares entities, which no XMP writer does: it is not read")
    try:
        root = ElementTree.fromstring(packet.strip(b"\0"))
    except ElementTree.ParseError as error:
        raise ValueError(f"the XMP packet is not XML: {error}") from None
    return _marks_of(root)


def _marks_of(root: ElementTree.Element) -> Marks:
    source = _found(root, "Iptc4xmpExt:DigitalSourceType")
    source_type: SourceType = next((name for name, uri in SOURCE_URIS.items() if uri == source), "none")
    texts = {name: _found(root, tag) for tag, name in (_PLAIN | _BY_LANGUAGE).items()}
    return Marks(source_type=source_type, **texts)


def _found(root: ElementTree.Element, tag: str) -> str:
    """A property's text, written as an element, as the first of its languages, or as an attribute."""
    prefix, name = tag.split(":")
    expanded = f"{{{_SPACES[prefix]}}}{name}"
    for description in root.iter(f"{{{_SPACES['rdf']}}}Description"):
        if expanded in description.attrib:
            return description.attrib[expanded]
        element = description.find(expanded)
        if element is not None:
            return "".join(element.itertext()).strip()
    return ""


def _text(value: str) -> str:
    return escape(_NOT_XML.sub("", value)[:_LONGEST].strip())
