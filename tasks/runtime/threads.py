"""Several cores for what is done to pixels, so that no device waits for it."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any, TypeVar

from typing_extensions import override

Given = TypeVar("Given")
Made = TypeVar("Made")
AT_ONCE = 4  # pictures of four million pixels, each some 300 MB while it is made


class Threads(ThreadPoolExecutor):
    """Threads that work in the context (contextvars) of whoever gives them work: with a run's patience with its store,
    its stop, and the listener to its progress."""

    @override
    def submit(self, fn: Callable[..., Made], /, *args: Any, **kwargs: Any) -> Future[Made]:
        """As of a ThreadPoolExecutor; its `map` submits, too."""
        return super().submit(copy_context().run, fn, *args, **kwargs)


@contextmanager
def threads() -> Iterator[Threads]:
    """Threads that have ended by the end of the block; where that is an error, what they have not begun is dropped."""
    pool = Threads(min(AT_ONCE, os.cpu_count() or 1))
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    pool.shutdown()


def each(
    function: Callable[[Given], Made], items: Iterable[Given], tell: Callable[[int, int], object] = lambda *_: None
) -> list[Made]:
    """`function` of every item, in order; the first error is raised. `tell` hears how many of how many are done."""
    listed, made = list(items), list[Made]()
    with threads() as pool:
        for one in pool.map(function, listed):
            made.append(one)
            tell(len(made), len(listed))
    return made
