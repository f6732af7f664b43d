"""Who asks for many values close to one another, and not the same, feels for the edge of a list: found by comparing.

Method: the values of one asker are kept for a day, as many as there is room for; a new one is compared with all of
them. Nobody who looks up what people upload comes often upon so many different values that lie so close.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from havenline.matching.search_kernel import scan

REACH = 40
"""Bits within which two values are close."""
FEWEST = 20
"""Different close values within a day that are taken for probing; a key may be given a higher limit."""
LASTS = 86_400
"""Seconds."""
ROOM = 65_536
"""Different values of one asker that are kept; beyond, the oldest go, those with a close one beside them last."""
Codes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class ProbeTable:
    """What is kept of one asker, in memory of the caller's, which may be a mapped file that other processes share.

    `codes` uint64 (n, 4), any fixed order of bits; `seconds` int64 (n,), when each was asked for last, 0 where the row
    is free; `close` uint8 (n,), whether another lay close; `filled` int64 (2,): rows in use, and where to go on.
    """

    codes: Codes
    seconds: NDArray[np.int64]
    close: NDArray[np.uint8]
    filled: NDArray[np.int64]

    @classmethod
    def empty(cls, room: int = ROOM) -> ProbeTable:
        return cls(
            np.zeros((room, 4), np.uint64), np.zeros(room, np.int64), np.zeros(room, np.uint8), np.zeros(2, np.int64)
        )

    def note(self, code: Codes, *, second: int) -> int:
        """Keep `code`, uint64 (4,), asked for at `second` of the epoch; how many different values of the last day lie
        within REACH of it, itself counted. Asked for again it is the same value.

        Callers take turns. Not checked: that time goes forward; what lies in the future counts as of today.
        """
        used = int(self.filled[0])
        rows, distances = close_to(code, self.codes[:used], radius=REACH)
        fresh = self.seconds[rows] > second - LASTS
        rows, distances = rows[fresh], distances[fresh]
        others = rows[distances > 0]
        same = rows[distances == 0]
        row = int(same[0]) if len(same) else self._free_row(used, second)
        self.codes[row], self.seconds[row] = code, second
        self.close[row] = len(others) > 0
        self.close[others] = 1
        return len(others) + 1

    def _free_row(self, used: int, second: int) -> int:
        room = len(self.codes)
        if used < room:
            self.filled[0] = used + 1
            return used
        at = int(self.filled[1])
        for _ in range(room // 2):  # so that values asked for in between do not wash away what lies close together
            if not self.close[at] or self.seconds[at] <= second - LASTS:
                break
            at = (at + 1) % room
        self.filled[1] = (at + 1) % room
        return at


def close_to(code: Codes, codes: Codes, *, radius: int) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """The rows of `codes`, uint64 (n, 4), within `radius` bits of `code`, uint64 (4,), and how far each lies."""
    room = 64
    while True:
        queries, rows = np.empty(room, np.int64), np.empty(room, np.int64)
        distances = np.empty(room, np.int16)
        found = int(scan(np.ascontiguousarray(code).reshape(1, 4), codes, radius, queries, rows, distances))
        if found <= room:
            return rows[:found], distances[:found]
        room = found
