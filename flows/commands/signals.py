"""How signals end a command: the first one in order, the next at once."""

import os
import signal
import sys
from types import FrameType

ENDS = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}


def interruption(error: BaseException) -> KeyboardInterrupt | None:
    """The signal that an error is, or was raised from: pydantic makes an error of its own of one that meets it."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__
    return cause


class Signals:
    """SIGINT, SIGTERM and SIGHUP, but for those that whoever started the command has ignored, as nohup does.

    The first raises KeyboardInterrupt with its number, so that what is under way ends in order. Another one ends the
    process where it stands, as a kill would, and a kill is what everything here is made to outlive.
    """

    def __init__(self) -> None:
        self._exit_code: int | None = None
        self._line = ""
        for number, untouched in ENDS.items():
            if signal.getsignal(number) is untouched:
                signal.signal(number, self._heed)

    def hasten(self, exit_code: int) -> None:
        """The command has said how it ended: from now on each signal ends the process at once, with this exit code."""
        self._exit_code, self._line = exit_code, ""

    def _heed(self, number: int, frame: FrameType | None) -> None:
        if self._exit_code is None:
            self._exit_code = 128 + number
            self._line = "packshot: ended at once; run the same command again to go on\n"
            raise KeyboardInterrupt(number)
        try:
            os.write(sys.stderr.fileno(), self._line.encode())
        finally:
            os._exit(self._exit_code)
