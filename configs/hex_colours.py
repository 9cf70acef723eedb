"""Colours of one's own, by their hex codes."""

import re

_DIGITS = "[0-9a-fA-F]{3}|[0-9a-fA-F]{6}"
_BETWEEN = r"[\s,;]"
LISTED = rf"^{_BETWEEN}*(#?({_DIGITS})({_BETWEEN}+|$))*$"  # what `hex_colours` reads, for a form's JSON schema


def hex_colour(text: str) -> str:
    """ "#1a7f5a" for "#1A7F5A" and "1a7f5a", "#aabbcc" for "#abc". Raises ValueError for what is none."""
    if not re.fullmatch(f"#?({_DIGITS})", text):
        raise ValueError("expected a colour such as #1a7f5a or #abc")
    digits = text.removeprefix("#").lower()
    return "#" + (digits if len(digits) == 6 else "".join(2 * digit for digit in digits))


def hex_colours(text: str) -> list[str]:
    """The colours that a person has typed, with commas or spaces between them. Raises ValueError."""
    colours = []
    for part in filter(None, re.split(_BETWEEN, text)):
        try:
            colours.append(hex_colour(part))
        except ValueError as fault:
            raise ValueError(f"{fault}, got {part!r}") from None
    return colours
