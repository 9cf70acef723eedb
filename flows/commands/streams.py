"""The streams of a command: open, in UTF-8, and written to though their reader has gone."""

import os
import sys
from typing import Any


def open_streams() -> None:
    """Standard streams that were closed when the command began, as a scheduler may do, lead nowhere from now on."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= 2:  # the lowest number that is free
        os.set_inheritable(opened, True)
    os.close(opened)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8")  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8")  # noqa: SIM115


def speak_utf8() -> None:
    """Starts the process over in UTF-8 where the locale has Python read names as ASCII or Latin-1: Arrow and Delta
    write files' names in UTF-8, and what is printed of a catalog is UTF-8, too."""
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, sys.orig_argv, os.environ | {"PYTHONUTF8": "1"})


def say(text: str, stream: Any) -> None:
    """Writes a line or more. A reader that has gone, as `head` does, is no fault; other faults raise OSError."""
    try:
        stream.write(text.rstrip() + "\n")
        stream.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # for what Python flushes at exit
        if not isinstance(error, BrokenPipeError):
            raise
