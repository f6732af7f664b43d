"""Every compiled loop of matching, loaded or compiled ahead of the first search that would need it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_SCANNED = 1_500
_TABLED = 10_000
"""Sets whose searches and self-joins are beyond NumPy's: the small one is scanned, the large one has tables."""


def prepare(compiling: Callable[[], None] = lambda: None) -> None:
    """Load each loop from its cache (a fraction of a second), or compile it (some ten seconds).

    `compiling` is called once, before the first loop is compiled: the place for a message. A process that answers
    others calls this before it accepts a request; no search, build or self-join compiles anything afterwards.
    Compiled loops are kept in NUMBA_CACHE_DIR, which must be set before numba is imported. Not checked: whether
    that folder can be written; where it cannot, every start compiles.
    """
    from numba.core import event

    class Once(event.Listener):
        """Calls `compiling` at the first event alone."""

        told = False

        def on_start(self, _event: event.Event) -> None:
            if not self.told:
                self.told = True
                compiling()

        def on_end(self, _event: event.Event) -> None:
            pass

    with event.install_listener("numba:compile", Once()):
        _use_all()


def _use_all() -> None:
    from havenline.matching.hamming import HammingIndex

    noise = np.random.default_rng(1)
    for count in (_SCANNED, _TABLED):
        codes = noise.integers(0, 256, (count, 32), dtype=np.uint8)
        index = HammingIndex.build(codes)
        for radius, queries in ((31, 1), (31, 2), (64, _SCANNED)):
            index.search(codes[:queries], radius=radius)
        index.pairs()
        index.codes_of(range(count))
