"""Many frames: worked on side by side in order, or only the newest of a live source."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Condition, Thread
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_WORKERS = 8


def default_workers() -> int:
    """One a core that this process may use; each holds a frame and its maps in memory."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return min(cores, _MAX_WORKERS)


def ahead(
    work: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[tuple[Item, Result]]:
    """Items in their order, each with what `work` makes of it, so many at a time in threads.

    At most one item a worker and two more are held at a time. Reading the items, the work, and what
    the caller does with the results overlap. An item that fails raises in its turn, and so does a
    source that fails; closing the generator early ends the threads.
    """
    pending: deque[tuple[Item, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers, "residualpose-stream") as pool:
        try:
            source, failure = iter(items), None
            while True:
                try:
                    item = next(source)
                    pending.append((item, pool.submit(work, item)))
                except StopIteration:
                    break
                except Exception as error:
                    # What came before it is still worth having.
                    failure = error
                    break
                # One more than the workers waits, so that they go on while the caller is busy.
                if len(pending) > workers + 1:
                    item, future = pending.popleft()
                    yield item, future.result()
            while pending:
                item, future = pending.popleft()
                yield item, future.result()
            if failure is not None:
                raise failure
        finally:
            for _, future in pending:
                future.cancel()


class _Newest(Generic[Item]):
    """The newest item that a thread has read from a source, and whether more will come."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = items
        self._changed = Condition()
        self._waiting: deque[Item] = deque(maxlen=1)
        self._ended = False
        self._failure: Exception | None = None
        # A source may wait for its next frame for ever: that must not keep a program from ending.
        Thread(target=self._read, name="residualpose-source", daemon=True).start()

    def take(self) -> Item | None:
        """The newest item not yet taken, as soon as there is one; None: the source has ended."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                return self._waiting.popleft()
            if self._failure is not None:
                raise self._failure
            return None

    def close(self) -> None:
        """Read no more than the item that is being waited for."""
        with self._changed:
            self._ended = True

    def _read(self) -> None:
        failure = None
        try:
            for item in self._items:
                with self._changed:
                    if self._ended:
                        return
                    self._waiting.append(item)
                    self._changed.notify()
        except Exception as error:  # raised where the items are taken
            failure = error
        finally:
            with self._changed:
                self._ended, self._failure = True, failure
                self._changed.notify()


def newest(work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result]]:
    """The newest item at each time with its result; what comes while one is worked on is dropped.

    The source is read in a thread of its own, so that it is never held up; its last item is
    always worked on. A failing source raises after that.
    """
    latest = _Newest(items)
    try:
        while (item := latest.take()) is not None:
            yield item, work(item)
    finally:
        latest.close()
