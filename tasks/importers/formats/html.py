"""HTML as the text that a person would read.

Not `html.parser`: before Python 3.11.14 and 3.13.6 a hostile cell of 10,000 characters costs it 20 seconds
(CVE-2025-6069). This reader looks at each character a fixed number of times, and needs no tree.
"""

import re
from html import unescape

HTML_MAXIMUM = 100_000
_UNREAD = {"script", "style", "template", "noscript", "iframe", "object", "svg", "head", "title", "textarea"}
_BREAKING = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "footer", "header", "hr", "li"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul"),
}
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][\da-fA-F]{1,6}|[a-zA-Z]\w{1,31});")
# A tag to its ">", which may stand in a quoted value too. Nothing here is tried twice: the quantifiers are possessive.
_TAG = re.compile(r"""<(/?+)([a-zA-Z][^\s/>]*+)(?:=\s*+(?:"[^"]*+"|'[^']*+')?+|[^=>]++)*+>""")


def decoded(text: str) -> str:
    """Plain text, in which a shop's system may have left entities, with the characters that they stand for."""
    found = _ENTITY.sub(lambda entity: unescape(entity[0]), text)
    return text if found == text else " ".join(found.split())


def html_to_text(html: str) -> str:
    """The readable text of HTML: a line for each block, entities decoded, scripts, styles and tags gone.

    Looks at HTML_MAXIMUM characters at most. The text may hold any character, "<" too: it is text, not HTML.
    """
    html = html[:HTML_MAXIMUM]
    parts: list[str] = []
    at, hidden = 0, ""
    while at < len(html):
        start = html.find("<", at)
        end = start if start >= 0 else len(html)
        if not hidden:
            parts.append(html[at:end])
        if start < 0:
            break
        tag = _TAG.match(html, start)
        if tag is None:
            at = _past_no_tag(html, start)
            if at == start + 1 and not hidden:
                parts.append("<")
            continue
        at = tag.end()
        closing, name = bool(tag[1]), tag[2].lower()
        if hidden:
            hidden = "" if closing and name == hidden else hidden
        elif name in _UNREAD and not closing and not tag[0].endswith("/>"):
            hidden = name
        elif name in _BREAKING:
            parts.append("\n")
    return _tidy(_decoded("".join(parts)))


def _past_no_tag(html: str, start: int) -> int:
    """Where to go on after a "<" that opens no whole tag: past a comment or declaration, or past the "<" alone.

    A tag that never ends takes all that follows, as in a browser.
    """
    if html.startswith("<!--", start):
        end, width = html.find("-->", start + 4), 3
    elif html.startswith(("<!", "<?"), start):
        end, width = html.find(">", start), 1
    elif html[start + 1 : start + 3].lstrip("/")[:1].isalpha():
        return len(html)
    else:
        return start + 1
    return len(html) if end < 0 else end + width


def _decoded(text: str) -> str:
    try:
        return unescape(text)
    except ValueError:  # a number with thousands of digits
        return text


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
