"""A searcher over whichever version of an index is live: asked before each query, for one look at a file.

    reader = LiveSearcher(request)        request.index = "docs"
    reader.now().search("csv", 5)         wholly from the version that is live, whatever is switched meanwhile

What is being searched stays open until it has answered, also when its version is switched away or deleted.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

from twotower.search import versions
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Searcher
from twotower.search.versions import POINTER, Place

ATTEMPTS = 5
"""Times that a version is looked for which is deleted just as it is opened."""


@dataclass(frozen=True, eq=False)
class _Opened:
    place: Place
    searcher: Searcher
    seen: tuple[int, ...]
    """What the pointer looked like before the version was read from it."""


class LiveSearcher:
    """Follows the live version of `request.index`; a version or folder that is named stays what it is."""

    def __init__(self, request: Request) -> None:
        """Opens it; raises as `open_searcher` does."""
        self.request = request
        self._follows = not ("@" in request.index or "/" in request.index or os.sep in request.index)
        self._opened = self._open()

    @property
    def place(self) -> Place:
        """The version that answered last."""
        return self._opened.place

    def now(self) -> Searcher:
        """The searcher over the version that is live.

        One that cannot be opened is said once, and the version before goes on answering.
        """
        opened = self._opened
        if not self._follows or opened.seen == self._look():
            return opened.searcher
        try:
            self._opened = self._open()
        except (OSError, ValueError) as error:
            self.request.say(f"{error}; {opened.place} goes on answering")
            self._opened = _Opened(opened.place, opened.searcher, self._look())
        return self._opened.searcher

    def _look(self) -> tuple[int, ...]:
        path = Path(self.request.index_dir) / self.request.index / POINTER
        try:
            stat = path.stat()
        except OSError:
            return ()
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _open(self) -> _Opened:
        for attempt in range(1, ATTEMPTS + 1):
            seen = self._look()
            place = versions.resolve(self.request.index_dir, self.request.index)
            before = getattr(self, "_opened", None)
            if before and before.place == place:  # another file, the same version
                return _Opened(place, before.searcher, seen)
            try:
                return _Opened(place, open_searcher(self._request_of(place)), seen)
            except (OSError, ValueError):
                if attempt == ATTEMPTS or not self._follows or seen == self._look():
                    raise
        raise AssertionError("the last attempt returns or raises")

    def _request_of(self, place: Place) -> Request:
        # by its version: one that goes live meanwhile is another
        return replace(self.request, index=f"{place.name}@{place.version}") if self._follows else self.request
