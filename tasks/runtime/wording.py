"""How things are said to people, wherever that is."""


def counted(number: int, noun: str) -> str:
    """A number of things, in words: "1 image", "4,800 images"."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
