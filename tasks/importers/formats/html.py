"""HTML as the text that a person would read."""

from html.parser import HTMLParser

HTML_MAXIMUM = 100_000
_UNREAD = frozenset({"script", "style", "template", "noscript", "iframe", "object", "svg", "head", "title", "textarea"})
_BREAKING = frozenset(
    "address article aside blockquote br dd div dl dt footer h1 h2 h3 h4 h5 h6 header hr li ol p pre section table "  # noqa: SIM905
    "td th tr ul".split()
)


def html_to_text(html: str) -> str:
    """The readable text of HTML: a line for each block, entities decoded, scripts, styles and tags gone.

    Looks at HTML_MAXIMUM characters at most. The text may hold any character, "<" too: it is text, not HTML.
    """
    if "<" not in html and "&" not in html:
        return _tidy(html)
    reader = _Reader()
    try:
        reader.feed(html[:HTML_MAXIMUM])
        reader.close()
    except AssertionError:  # Python's parser gives up so on some malformed declarations; what came before is kept
        pass
    return _tidy("".join(reader.parts))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _UNREAD:
            self.unread.append(tag)
        elif tag in _BREAKING:
            self.parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BREAKING:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in self.unread:
            del self.unread[self.unread.index(tag) :]
        elif tag in _BREAKING:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.unread:
            self.parts.append(data)


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)
