"""Compiled look-ups in the tables of the index, and their self-join; `index_twin.py` says the same in plain NumPy.

All codes have their bits by diagonals (`build_kernel.arrange`). Arrays of an index are read-only. The vector code is
LLVM's own, without instructions of one machine: LLVM makes AVX-512, AVX2, SSE2 or NEON of it. The intrinsics
stand in this file because a change to another one would not make numba compile its stored kernels anew.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from havenline.matching.build_kernel import arrange

Array = np.ndarray[Any, Any]

LANES = 32
_KEYS = 65537
_KEYS_AHEAD = 2
_RUNS_AHEAD = 1
"""How many units before its turn the directory lines and the runs of one are fetched."""
_RING = 4
_ROUND = 1 << 15
"""Candidates gathered before they are verified."""
_LEFT = 1024
"""Postings compared with one vector before a round may end."""
_SORTED_FROM = 64
"""So many queries are put in the order of their keys."""
_AHEAD = 16
"""Candidates whose codes are on their way to the cache while one is verified."""

_CHUNKS = ir.VectorType(ir.IntType(16), LANES)
_BYTE_POINTER = ir.IntType(8).as_pointer()


def _as_intrinsic(recipe: Any) -> Any:
    """`numba.intrinsic` for the type checker: what is called has one argument fewer than what is written."""
    return intrinsic(recipe)


@_as_intrinsic
def _popcount(_context: Any, word: Any) -> Any:
    """LLVM's `ctpop` on one uint64: a single instruction where the processor has it."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@_as_intrinsic
def _close(_context: Any, partners: Any, at: Any, partner: Any, most: Any) -> Any:
    """A uint32 whose bit k says that partners[at + k], of a flat uint16 array, is within `most` bits of `partner`."""
    signature = types.uint32(partners, types.intp, types.uint16, types.uint16)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _address(context, builder, signature.args[0], *arguments[:2])
        chunks = builder.load(builder.bitcast(start, _CHUNKS.as_pointer()))
        chunks.align = 2
        none = ir.Constant(_CHUNKS, ir.Undefined)
        first = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)

        def everywhere(chunk: Any) -> Any:
            return builder.shuffle_vector(builder.insert_element(none, chunk, ir.IntType(32)(0)), none, first)

        count = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
            builder.module, ir.FunctionType(_CHUNKS, [_CHUNKS]), f"llvm.ctpop.v{LANES}i16"
        )
        apart = builder.call(count, [builder.xor(chunks, everywhere(arguments[2]))])
        return builder.bitcast(builder.icmp_signed("<=", apart, everywhere(arguments[3])), ir.IntType(32))

    return signature, emit


@_as_intrinsic
def _fetch(_context: Any, array: Any, at: Any) -> Any:
    """Ask for the cache line of array[at], of a flat array; any address will do."""
    signature = types.void(array, types.intp)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        whole = ir.IntType(32)
        prefetch = builder.module.declare_intrinsic(
            "llvm.prefetch", [_BYTE_POINTER], ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, whole, whole, whole])
        )
        builder.call(prefetch, [builder.bitcast(address, _BYTE_POINTER), whole(0), whole(3), whole(1)])
        return context.get_dummy_value()

    return signature, emit


@numba.njit(cache=True, nogil=True)
def search_tables(
    asked: Array, codes: Array, directory: Array, partners: Array, postings: Array, plan: Any, radius: int, crowd: int,
) -> Any:  # fmt: skip
    """Look the queries `asked` (m, 4) up in the tables: (queries, codes, distances, crowded, damaged).

    `asked` has its bits as they come, m < 2**28. `codes` uint64 (4 n,), `directory` uint32 (16 * 65537,), `partners`
    and `postings`: the arrays of `Tables`, laid flat. `plan`: the five arrays of `pigeonhole.Plan`. A query whose
    runs hold more than `crowd` postings in all stands in `crowded` and has no findings: scan for it. `damaged`:
    the arrays contradict each other, so the findings may be incomplete.

    Every look-up of a query in one table is a unit. Units go table by table and by key, so that neighbours share
    cache lines; the directory lines of a unit are fetched two units ahead, its runs one unit ahead.
    """
    bounds, reaches, probes, flips, weights = plan
    n = codes.shape[0] // 4
    queries = np.empty(asked.shape, np.uint64)
    arrange(asked, 0, asked.shape[0], queries)
    chunks = queries.view(np.uint16)
    units = _units(chunks, probes)
    starts, ends = np.empty((_RING, flips.shape[0]), np.int64), np.empty((_RING, flips.shape[0]), np.int64)
    totals = np.zeros(_RING, np.int64)
    loads = np.zeros(queries.shape[0], np.int64)
    candidates = np.empty(min(2 * _ROUND, 1024 + 256 * queries.shape[0]), np.uint64)
    gathered = np.int64(0)
    rows = np.empty((256, 3), np.int64)
    found = np.int64(0)
    sound = True
    for step in range(units.shape[0] + _KEYS_AHEAD):
        if step < units.shape[0]:
            _fetch_keys(units[step], chunks, directory, probes, flips)
        at = step - _KEYS_AHEAD + _RUNS_AHEAD
        if 0 <= at < units.shape[0]:
            unit, slot = units[at], at & (_RING - 1)
            total = _fetch_runs(unit, chunks, directory, partners, probes, flips, n, starts[slot], ends[slot])
            sound &= total >= 0
            query = np.int64(unit >> np.uint64(4))
            loads[query] += max(total, 0)
            totals[slot] = total if loads[query] <= crowd else 0
        at = step - _KEYS_AHEAD
        slot = at & (_RING - 1)
        if at >= 0 and totals[slot] > 0:
            unit = units[at]
            if gathered + totals[slot] > candidates.shape[0]:
                candidates = _grown(candidates, gathered, totals[slot])
            gathered = _gather(
                unit, chunks, partners, probes, weights, bounds, n, starts[slot], ends[slot], candidates, gathered
            )
        if gathered > _ROUND or (gathered > 0 and at == units.shape[0] - 1):
            rows = _roomy(rows, found, gathered)
            found, whole = _verify(candidates, gathered, queries, codes, postings, bounds, reaches, radius, rows, found)
            sound &= whole
            gathered = np.int64(0)
    crowded = _crowded(loads, crowd)
    if crowded.shape[0]:
        found = _uncrowded(rows, found, loads, crowd)
    first, second, third = _columns(rows, found)
    return first, second, third, crowded, not sound


@numba.njit(cache=True, nogil=True)
def _crowded(loads: Array, crowd: Any) -> Array:
    crowded = np.empty(loads.shape[0], np.int64)
    count = 0
    for query in range(loads.shape[0]):
        crowded[count] = query
        count += loads[query] > crowd
    return crowded[:count]


@numba.njit(cache=True, nogil=True)
def _uncrowded(rows: Array, found: Any, loads: Array, crowd: Any) -> Any:
    """Keep the findings of queries that are not crowded; return how many there are."""
    kept = np.int64(0)
    for at in range(found):
        if loads[rows[at, 0]] <= crowd:
            rows[kept, 0], rows[kept, 1], rows[kept, 2] = rows[at, 0], rows[at, 1], rows[at, 2]
            kept += 1
    return kept


@numba.njit(cache=True, nogil=True)
def _units(chunks: Array, probes: Array) -> Array:
    """Query * 16 + table, for every table that is probed and every query, by table, then by key."""
    m = chunks.shape[0]
    probed = 0
    for table in range(probes.shape[0]):
        probed += probes[table] > 0
    units = np.empty(probed * m, np.uint64)
    first = 0
    spare = np.empty(m, np.uint64)
    for table in range(probes.shape[0]):
        if probes[table] == 0:
            continue
        last = first + m
        for query in range(m):
            units[first + query] = np.uint64(query << 4 | table)
        if m >= _SORTED_FROM:
            _by_byte(units[first:last], spare, chunks, table, 0)
            _by_byte(spare, units[first:last], chunks, table, 8)
        first = last
    return units


@numba.njit(cache=True, nogil=True)
def _by_byte(units: Array, target: Array, chunks: Array, table: Any, shift: int) -> None:
    """Write `units` to `target` sorted by one byte of their key, those with an equal byte in their order."""
    places = np.zeros(257, np.int64)
    for unit in units:
        places[(np.int64(chunks[np.int64(unit >> np.uint64(4)), table]) >> shift & 255) + 1] += 1
    for byte in range(256):
        places[byte + 1] += places[byte]
    for unit in units:
        low: Any = np.int64(chunks[np.int64(unit >> np.uint64(4)), table]) >> shift & 255
        target[places[low]] = unit
        places[low] += 1


@numba.njit(cache=True, nogil=True)
def _fetch_keys(unit: Any, chunks: Array, directory: Array, probes: Array, flips: Array) -> None:
    table = np.int64(unit & np.uint64(15))
    key = chunks[np.int64(unit >> np.uint64(4)), table]
    for probe in range(probes[table]):
        _fetch(directory, table * _KEYS + np.int64(key ^ flips[probe]))


@numba.njit(cache=True, nogil=True)
def _fetch_runs(
    unit: Any, chunks: Array, directory: Array, partners: Array, probes: Array, flips: Array, n: Any,
    starts: Array, ends: Array,
) -> Any:  # fmt: skip
    """Set where the runs of a unit start and end, fetch them, return their length in all; -1 when damaged."""
    table = np.int64(unit & np.uint64(15))
    key = chunks[np.int64(unit >> np.uint64(4)), table]
    total: Any = np.int64(0)
    for probe in range(probes[table]):
        at = table * _KEYS + np.int64(key ^ flips[probe])
        start, end = np.int64(directory[at]), np.int64(directory[at + 1])
        if start > end or end > n:
            return -1
        starts[probe], ends[probe] = start, end
        total += end - start
        # The last load reaches into one line more than the run does, and would wait for it.
        for posting in range(start, end + LANES - 1 if start < end else start, LANES):
            _fetch(partners, table * n + posting)
    return total


@numba.njit(cache=True, nogil=True)
def _gather(
    unit: Any, chunks: Array, partners: Array, probes: Array, weights: Array, bounds: Array, n: Any,
    starts: Array, ends: Array, candidates: Array, gathered: Any,
) -> Any:  # fmt: skip
    """Append the postings of a unit's runs whose partner is close enough: unit << 32 | place in the table."""
    table = np.int64(unit & np.uint64(15))
    partner = chunks[np.int64(unit >> np.uint64(4)), table ^ 1]
    bound = bounds[table >> 1]
    for probe in range(probes[table]):
        most = np.uint16(bound - weights[probe])
        end = ends[probe]
        for posting in range(starts[probe], end, LANES):
            close = np.uint64(_close(partners, table * n + posting, partner, most))
            if end - posting < LANES:
                close &= (np.uint64(1) << np.uint64(end - posting)) - np.uint64(1)
            while close != np.uint64(0):
                lane = _popcount((close - np.uint64(1)) & ~close)
                close &= close - np.uint64(1)
                candidates[gathered] = unit << np.uint64(32) | (np.uint64(posting) + lane)
                gathered += 1
    return gathered


@numba.njit(cache=True, nogil=True)
def _verify(
    candidates: Array, gathered: Any, queries: Array, codes: Array, postings: Array, bounds: Array, reaches: Array,
    radius: int, rows: Array, found: Any,
) -> Any:  # fmt: skip
    """Append the candidates within `radius` that no earlier table leads to; False when a posting is impossible.

    In the order of the candidates, with their postings and then their codes fetched ahead.
    """
    n = codes.shape[0] // 4
    place = np.uint64(0xFFFFFFFF)
    limit = np.uint64(radius)
    sound = True
    for at in range(-2 * _AHEAD, gathered):
        if at + 2 * _AHEAD < gathered:
            ahead = candidates[at + 2 * _AHEAD]
            _fetch(postings, np.int64(ahead >> np.uint64(32) & np.uint64(15)) * n + np.int64(ahead & place))
        if 0 <= at + _AHEAD < gathered:
            ahead = candidates[at + _AHEAD]
            code = postings[np.int64(ahead >> np.uint64(32) & np.uint64(15)) * n + np.int64(ahead & place)]
            if code >= n:
                sound = False
                code = np.uint32(0)
            candidates[at + _AHEAD] = (ahead & ~place) | np.uint64(code)
            _fetch(codes, 4 * np.int64(code))
        if at < 0:
            continue
        code = np.int64(candidates[at] & place)
        query = np.int64(candidates[at] >> np.uint64(36))
        x0, x1 = queries[query, 0] ^ codes[4 * code], queries[query, 1] ^ codes[4 * code + 1]
        distance = _popcount(x0) + _popcount(x1)
        if distance > limit:
            continue
        x2, x3 = queries[query, 2] ^ codes[4 * code + 2], queries[query, 3] ^ codes[4 * code + 3]
        distance += _popcount(x2) + _popcount(x3)
        if distance > limit:
            continue
        table = np.int64(candidates[at] >> np.uint64(32) & np.uint64(15))
        if not _met_before(table, x0, x1, x2, x3, bounds, reaches):
            rows[found, 0], rows[found, 1], rows[found, 2] = query, code, np.int64(distance)
            found += 1
    return found, sound


@numba.njit(cache=True, nogil=True)
def _met_before(table: Any, x0: Any, x1: Any, x2: Any, x3: Any, bounds: Array, reaches: Array) -> Any:
    """Whether two codes that differ in x0..x3 are led to each other by a table before `table`, which does so."""
    for pair in range((table >> 1) + 1):
        if pair < 2:
            word = x0
        elif pair < 4:
            word = x1
        elif pair < 6:
            word = x2
        else:
            word = x3
        if pair & 1:
            word >>= np.uint64(32)
        if pair < table >> 1:
            if np.int64(_popcount(word & np.uint64(0xFFFFFFFF))) <= bounds[pair]:
                return True
        elif table & 1 and np.int64(_popcount(word & np.uint64(0xFFFF))) <= reaches[table - 1]:
            return True
    return False


@numba.njit(cache=True, nogil=True)
def join_tables(
    codes: Array, directory: Array, partners: Array, postings: Array, plan: Any, radius: int, table: Any,
    first: int, last: int,
) -> Any:  # fmt: skip
    """The pairs of distinct codes that `table` leads to by first <= key < last: ((left, right, distances), damaged).

    The smaller position stands first. A pair is found from the smaller of its two keys, or, where both have one
    key, from the earlier posting; and only in the first table that leads to it. Arrays as in `search_tables`.
    """
    bounds, reaches, probes, flips, weights = plan
    n = codes.shape[0] // 4
    # Always room enough: a buffer that grew within the loops would be counted by atomic operations there, which take
    # longer than the comparisons.
    candidates = np.empty(_ROUND + _LEFT * LANES, np.uint64)
    gathered = np.int64(0)
    rows = np.empty((256, 3), np.int64)
    found = np.int64(0)
    sound = True
    for key in range(first, last):
        start, end = np.int64(directory[table * _KEYS + key]), np.int64(directory[table * _KEYS + key + 1])
        if start > end or end > n:
            sound = False
            continue
        if key + 2 < last:
            _fetch_neighbours(key + 2, table, directory, partners, probes, flips, n)
        for probe in range(probes[table] if start < end else 0):
            other = key ^ np.int64(flips[probe])
            if other < key:
                continue
            run, stop = np.int64(directory[table * _KEYS + other]), np.int64(directory[table * _KEYS + other + 1])
            if run > stop or stop > n:
                sound = False
                continue
            most = np.uint16(bounds[table >> 1] - weights[probe])
            for left in range(start, end, _LEFT):
                for posting in range(run, stop, LANES):
                    gathered = _gather_pairs(
                        partners, table * n, left, min(left + _LEFT, end), posting, stop, most, probe == 0,
                        candidates, gathered,
                    )  # fmt: skip
                    if gathered > _ROUND:
                        rows = _roomy(rows, found, gathered)
                        found, whole = _verify_pairs(
                            candidates, gathered, table, codes, postings, bounds, reaches, radius, rows, found
                        )
                        sound &= whole
                        gathered = np.int64(0)
    rows = _roomy(rows, found, gathered)
    found, whole = _verify_pairs(candidates, gathered, table, codes, postings, bounds, reaches, radius, rows, found)
    return _columns(rows, found), not (sound and whole)


@numba.njit(cache=True, nogil=True)
def _fetch_neighbours(
    key: Any, table: Any, directory: Array, partners: Array, probes: Array, flips: Array, n: Any
) -> None:
    """Fetch the first lines of the runs that `key` is compared with."""
    for probe in range(probes[table]):
        other = key ^ np.int64(flips[probe])
        if other >= key:
            run = table * n + np.int64(directory[table * _KEYS + other])
            _fetch(partners, run)
            _fetch(partners, run + LANES)


@numba.njit(cache=True, nogil=True)
def _gather_pairs(
    partners: Array, base: Any, first: Any, end: Any, run: Any, stop: Any, most: Any, own: Any, candidates: Array,
    gathered: Any,
) -> Any:  # fmt: skip
    """Append left << 32 | right for the places first <= left < end and run <= right < run + 32 of near partners.

    `stop` bounds the run on the right. Where that is their `own` bucket, only those with left < right.
    """
    inside = np.uint64(0xFFFFFFFF)
    if stop - run < LANES:
        inside = (np.uint64(1) << np.uint64(stop - run)) - np.uint64(1)
    for left in range(first, end):
        close = np.uint64(_close(partners, base + run, partners[base + left], most)) & inside
        if close == np.uint64(0):
            continue
        if own:
            before = np.uint64(max(0, min(left + 1 - run, LANES)))
            close = close >> before << before
        while close != np.uint64(0):
            lane = _popcount((close - np.uint64(1)) & ~close)
            close &= close - np.uint64(1)
            candidates[gathered] = np.uint64(left) << np.uint64(32) | (np.uint64(run) + lane)
            gathered += 1
    return gathered


@numba.njit(cache=True, nogil=True)
def _verify_pairs(
    candidates: Array, gathered: Any, table: Any, codes: Array, postings: Array, bounds: Array, reaches: Array,
    radius: int, rows: Array, found: Any,
) -> Any:  # fmt: skip
    """As `_verify`, for pairs of places in one table."""
    n = codes.shape[0] // 4
    low, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    limit = np.uint64(radius)
    base = np.int64(table) * n
    sound = True
    for at in range(-2 * _AHEAD, gathered):
        if at + 2 * _AHEAD < gathered:
            _fetch(postings, base + np.int64(candidates[at + 2 * _AHEAD] & low))
        if 0 <= at + _AHEAD < gathered:
            pair = candidates[at + _AHEAD]
            left, right = postings[base + np.int64(pair >> half)], postings[base + np.int64(pair & low)]
            if left >= n or right >= n:
                sound = False
                left = right = np.uint32(0)
            candidates[at + _AHEAD] = np.uint64(left) << half | np.uint64(right)
            _fetch(codes, 4 * np.int64(left))
            _fetch(codes, 4 * np.int64(right))
        if at < 0:
            continue
        one, two = np.int64(candidates[at] >> half), np.int64(candidates[at] & low)
        x0, x1 = codes[4 * one] ^ codes[4 * two], codes[4 * one + 1] ^ codes[4 * two + 1]
        distance = _popcount(x0) + _popcount(x1)
        if distance > limit:
            continue
        x2, x3 = codes[4 * one + 2] ^ codes[4 * two + 2], codes[4 * one + 3] ^ codes[4 * two + 3]
        distance += _popcount(x2) + _popcount(x3)
        if distance <= limit and not _met_before(table, x0, x1, x2, x3, bounds, reaches):
            rows[found, 0], rows[found, 1], rows[found, 2] = min(one, two), max(one, two), np.int64(distance)
            found += 1
    return found, sound


@numba.njit(cache=True, nogil=True)
def _grown(candidates: Array, used: Any, more: Any) -> Array:
    """`candidates`, or a longer copy of the first `used`, with room for `more`."""
    if used + more <= candidates.shape[0]:
        return candidates
    grown = np.empty(max(2 * candidates.shape[0], used + more), np.uint64)
    for at in range(used):
        grown[at] = candidates[at]
    return grown


@numba.njit(cache=True, nogil=True)
def _roomy(rows: Array, used: Any, more: Any) -> Array:
    """As `_grown`, for the rows of findings."""
    if used + more <= rows.shape[0]:
        return rows
    grown = np.empty((max(2 * rows.shape[0], used + more), 3), np.int64)
    for at in range(used):
        grown[at, 0], grown[at, 1], grown[at, 2] = rows[at, 0], rows[at, 1], rows[at, 2]
    return grown


@numba.njit(cache=True, nogil=True)
def _columns(rows: Array, count: Any) -> Any:
    """The findings as they are handed out: int64, int64 and int16."""
    first, second, third = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int16)
    for at in range(count):
        first[at], second[at], third[at] = rows[at, 0], rows[at, 1], rows[at, 2]
    return first, second, third
