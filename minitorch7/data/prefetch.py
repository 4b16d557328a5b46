"""Results made ahead of their use, in one background thread."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_THREAD = "minitorch7-prefetch"


def prefetched(
    function: Callable[[Any], Any], arguments: Iterable[Any], depth: int
) -> Iterator[Any]:
    """``function(a) for a in arguments``, with `depth` results made ahead of the one in use.

    NumPy releases Python's lock while it copies and computes, so the thread works beside the
    consumer. Its errors come out of the iterator, with the traceback of the thread. When the
    iterator ends, is closed or is forgotten, the thread is told to stop and waited for.
    """
    if depth == 0:
        yield from map(function, arguments)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(1, thread_name_prefix=_THREAD)
    waiting: deque[Any] = deque()
    try:
        for argument in arguments:
            waiting.append(pool.submit(function, argument))
            if len(waiting) > depth:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        # the garbage collector may run this in any thread, and a thread cannot wait for itself
        itself = threading.current_thread().name.startswith(_THREAD)
        pool.shutdown(wait=not itself, cancel_futures=True)
