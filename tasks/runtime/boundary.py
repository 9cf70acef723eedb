"""The row boundary: what goes wrong with one photo or image, expected or not, costs that one alone."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from catalog_schemas.errors import PackshotError, Rejected
from catalog_schemas.rejection import Reason

logger = logging.getLogger(__name__)


@contextmanager
def row_boundary(reason: Reason, what: str) -> Iterator[None]:
    """Turns any error of our own making that nobody foresaw into `Rejected(reason)`, with its traceback in the log.

    Verdicts pass through, and so do failures of the store or the model: those are not the row's fault.
    """
    try:
        yield
    except (PackshotError, MemoryError):
        raise
    except Exception as error:
        logger.exception("%s: unexpected error", what)
        raise Rejected(reason, f"{what}: unexpected {type(error).__name__}: {error}; please report it") from error
