"""Compiled look-ups in the tables of the index, and their self-join; `index_twin.py` says the same in plain NumPy.

All codes have their bits by diagonals (`build_kernel.arrange`). Arrays of an index are read-only. The vector code is
LLVM's own, without instructions of one machine: LLVM makes AVX-512, AVX2, SSE2 or NEON of it. The intrinsics
stand in this file because a change to another one would not make numba compile its stored kernels anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import cgutils, types
from numba.extending import intrinsic

from havenline.matching.build_kernel import arrange

Array = np.ndarray[Any, Any]

LANES = 32
"""Partners read at once: a cache line."""
KEYS = 65537
ROUND = 1 << 15
"""Candidates gathered before they are verified."""
AHEAD = 16
"""Candidates whose codes are on their way to the cache while one is verified."""
_KEYS_AHEAD = 3
_RUNS_AHEAD = 2
"""How many units before its turn the directory lines and the runs of one are fetched."""
_RING = 4
_SORTED_FROM = 64
"""So many queries are put in the order of their keys."""
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)

_laid: Callable[..., Any] = numba.carray  # type: ignore[attr-defined]  # an array at an address
_CHUNKS = ir.VectorType(ir.IntType(16), LANES)
_BYTE_POINTER = ir.IntType(8).as_pointer()


def _as_intrinsic(recipe: Any) -> Any:
    """`numba.intrinsic` for the type checker: what is called has one argument fewer than what is written."""
    return intrinsic(recipe)


@_as_intrinsic
def popcount(_context: Any, word: Any) -> Any:
    """LLVM's `ctpop` on one uint64: a single instruction where the processor has it."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.uint64(types.uint64), emit


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(kind)(context, builder, array).data, [at])


@_as_intrinsic
def close_partners(_context: Any, partners: Any, at: Any, partner: Any, most: Any) -> Any:
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
def _run(_context: Any, directory: Any, at: Any) -> Any:
    """directory[at] | directory[at + 1] << 32, of a flat uint32 array: where a run starts and ends, in one load."""
    signature = types.uint64(directory, types.intp)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _address(context, builder, signature.args[0], *arguments)
        both = builder.load(builder.bitcast(start, ir.IntType(64).as_pointer()))
        both.align = 4
        return both

    return signature, emit


@_as_intrinsic
def _pointer(_context: Any, address: Any) -> Any:
    """The address in a uint64, as `numba.carray` takes it."""

    def emit(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], _BYTE_POINTER)

    return types.voidptr(types.uint64), emit


@_as_intrinsic
def fetch(_context: Any, array: Any, at: Any) -> Any:
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
def placed(place: Array) -> Any:
    """The arrays that `place` tells of: those of `Tables`, laid flat, then the five of `pigeonhole.Plan`.

    `place` uint64 (13,), as `tables.placed` makes it. A call that is given nine arrays spends more time on looking
    at them than a search takes.
    """
    n, flips = np.int64(place[0]), np.int64(place[12])
    return (
        _laid(_pointer(place[3]), 4 * n, np.uint64),
        _laid(_pointer(place[4]), 16 * KEYS, np.uint32),
        _laid(_pointer(place[5]), 16 * n + LANES, np.uint16),
        _laid(_pointer(place[6]), 16 * n, np.uint32),
        _laid(_pointer(place[7]), 8, np.int64),
        _laid(_pointer(place[8]), 16, np.int64),
        _laid(_pointer(place[9]), 16, np.int64),
        _laid(_pointer(place[10]), flips, np.uint16),
        _laid(_pointer(place[11]), flips, np.int64),
    )


@numba.njit(cache=True, nogil=True)
def search_one(place: Array, w0: int, w1: int, w2: int, w3: int, found_code: Array, found_distance: Array) -> Any:
    """Look one query up, its four words as int64: write codes and distances, return how many there are.

    -1: `search_tables` must be asked, since the query is crowded, the arrays are damaged, or there are more findings
    than `found_code` int64 and `found_distance` int16 have room for.
    """
    asked = np.empty((1, 4), np.uint64)
    asked[0, 0], asked[0, 1], asked[0, 2], asked[0, 3] = np.uint64(w0), np.uint64(w1), np.uint64(w2), np.uint64(w3)
    rows, found, loads, sound = _searched(place, asked)
    if not sound or loads[0] > np.int64(place[2]) or found > found_code.shape[0]:
        return -1
    for at in range(found):
        found_code[at], found_distance[at] = rows[at, 1], rows[at, 2]
    return found


@numba.njit(cache=True, nogil=True)
def search_tables(place: Array, asked: Array) -> Any:
    """Look the queries `asked` (m, 4) up in the tables: (queries, codes, distances, crowded, damaged).

    `place`: as in `placed`. `asked` has its bits as they come, m < 2**28. A query whose runs hold more postings in
    all than a crowd stands in `crowded` and has no findings: scan for it. `damaged`: the arrays contradict each
    other, so the findings may be incomplete.
    """
    rows, found, loads, sound = _searched(place, asked)
    crowd = np.int64(place[2])
    crowded = _crowded(loads, crowd)
    if crowded.shape[0]:
        found = _uncrowded(rows, found, loads, crowd)
    first, second, third = columns(rows, found)
    return first, second, third, crowded, not sound


@numba.njit(cache=True, nogil=True)
def _searched(place: Array, asked: Array) -> Any:
    """Rows of findings, how many there are, how many postings each query met, whether the arrays are sound.

    Every look-up of a query in one table is a unit. Units go table by table and by key, so that neighbours share
    cache lines; the directory lines of a unit are fetched three units ahead, its runs two.
    """
    codes, directory, partners, postings, bounds, reaches, probes, flips, weights = placed(place)
    n, radius, crowd = np.int64(place[0]), np.int64(place[1]), np.int64(place[2])
    queries = np.empty(asked.shape, np.uint64)
    arrange(asked, 0, asked.shape[0], queries)
    chunks = queries.view(np.uint16)
    units = _units(chunks, probes)
    runs = np.empty((_RING, flips.shape[0]), np.uint64)
    totals = np.zeros(_RING, np.int64)
    loads = np.zeros(queries.shape[0], np.int64)
    candidates = np.empty(min(2 * ROUND, 1024 + 256 * queries.shape[0]), np.uint64)
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
            total = _fetch_runs(unit, chunks, directory, partners, probes, flips, n, runs[slot])
            sound &= total >= 0
            query = np.int64(unit >> np.uint64(4))
            loads[query] += max(total, 0)
            totals[slot] = total if loads[query] <= crowd else 0
        at = step - _KEYS_AHEAD
        slot = at & (_RING - 1)
        if at >= 0 and totals[slot] > 0:
            if gathered + totals[slot] > candidates.shape[0]:
                candidates = _grown(candidates, gathered, totals[slot])
            gathered = _gather(
                units[at], chunks, partners, probes, weights, bounds, n, runs[slot], candidates, gathered
            )
        if gathered > ROUND or (gathered > 0 and at == units.shape[0] - 1):
            rows = roomy(rows, found, gathered)
            found, whole = _verify(candidates, gathered, queries, codes, postings, bounds, reaches, radius, rows, found)
            sound &= whole
            gathered = np.int64(0)
    return rows, found, loads, sound


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
        at = table * KEYS + np.int64(key ^ flips[probe])
        fetch(directory, at + 1)
        if at & 15 == 15:
            fetch(directory, at)


@numba.njit(cache=True, nogil=True)
def _fetch_runs(
    unit: Any, chunks: Array, directory: Array, partners: Array, probes: Array, flips: Array, n: Any, runs: Array,
) -> Any:  # fmt: skip
    """Set where the runs of a unit start and end, fetch them, return their length in all; -1 when damaged."""
    table = np.int64(unit & np.uint64(15))
    key = chunks[np.int64(unit >> np.uint64(4)), table]
    total: Any = np.int64(0)
    damaged = False
    for probe in range(probes[table]):
        run = _run(directory, table * KEYS + np.int64(key ^ flips[probe]))
        start, end = np.int64(run & _LOW), np.int64(run >> _HALF)
        damaged |= (start > end) | (end > n)
        runs[probe] = run
        total += end - start
        # Most runs lie in one or two lines: without a loop there is nothing to guess wrong.
        fetch(partners, table * n + start)
        fetch(partners, table * n + end - 1)
        if end - start > LANES and not damaged:
            for posting in range(start + LANES, end - 1, LANES):
                fetch(partners, table * n + posting)
    return np.int64(-1) if damaged else total


@numba.njit(cache=True, nogil=True)
def _gather(
    unit: Any, chunks: Array, partners: Array, probes: Array, weights: Array, bounds: Array, n: Any, runs: Array,
    candidates: Array, gathered: Any,
) -> Any:  # fmt: skip
    """Append the postings of a unit's runs whose partner is close enough: unit << 32 | place in the table.

    By blocks of two whole cache lines (where the array is aligned), so that no line is read that holds nothing of
    the run; where its second line would be one, the first is read twice.
    """
    table = np.int64(unit & np.uint64(15))
    partner = chunks[np.int64(unit >> np.uint64(4)), table ^ 1]
    bound, base = bounds[table >> 1], table * n
    for probe in range(probes[table]):
        most = np.uint16(bound - weights[probe])
        start, end = base + np.int64(runs[probe] & _LOW), base + np.int64(runs[probe] >> _HALF)
        block = start & -LANES
        inside = _ALL << np.uint64(start - block)
        while block < end:
            second = min(block + LANES, max(block, (end - 1) & -LANES))
            close = np.uint64(close_partners(partners, block, partner, most))
            close |= np.uint64(close_partners(partners, second, partner, most)) << _HALF
            beyond = np.uint64(max(0, block + 2 * LANES - end))
            close &= inside << beyond >> beyond
            while close != np.uint64(0):
                lane = popcount((close - np.uint64(1)) & ~close)
                close &= close - np.uint64(1)
                candidates[gathered] = unit << _HALF | (np.uint64(block - base) + lane)
                gathered += 1
            inside = _ALL
            block += 2 * LANES
    return gathered


@numba.njit(cache=True, nogil=True)
def _verify(
    candidates: Array, gathered: Any, queries: Array, codes: Array, postings: Array, bounds: Array, reaches: Array,
    radius: Any, rows: Array, found: Any,
) -> Any:  # fmt: skip
    """Append the candidates within `radius` that no earlier table leads to; False when a posting is impossible.

    In the order of the candidates, with their postings and then their codes fetched ahead.
    """
    n = codes.shape[0] // 4
    place = np.uint64(0xFFFFFFFF)
    limit = np.uint64(radius)
    sound = True
    for at in range(-2 * AHEAD, gathered):
        if at + 2 * AHEAD < gathered:
            ahead = candidates[at + 2 * AHEAD]
            fetch(postings, np.int64(ahead >> np.uint64(32) & np.uint64(15)) * n + np.int64(ahead & place))
        if 0 <= at + AHEAD < gathered:
            ahead = candidates[at + AHEAD]
            code = postings[np.int64(ahead >> np.uint64(32) & np.uint64(15)) * n + np.int64(ahead & place)]
            if code >= n:
                sound = False
                code = np.uint32(0)
            candidates[at + AHEAD] = (ahead & ~place) | np.uint64(code)
            fetch(codes, 4 * np.int64(code))
        if at < 0:
            continue
        code = np.int64(candidates[at] & place)
        query = np.int64(candidates[at] >> np.uint64(36))
        x0, x1 = queries[query, 0] ^ codes[4 * code], queries[query, 1] ^ codes[4 * code + 1]
        distance = popcount(x0) + popcount(x1)
        if distance > limit:
            continue
        x2, x3 = queries[query, 2] ^ codes[4 * code + 2], queries[query, 3] ^ codes[4 * code + 3]
        distance += popcount(x2) + popcount(x3)
        if distance > limit:
            continue
        table = np.int64(candidates[at] >> np.uint64(32) & np.uint64(15))
        if not met_before(table, x0, x1, x2, x3, bounds, reaches):
            rows[found, 0], rows[found, 1], rows[found, 2] = query, code, np.int64(distance)
            found += 1
    return found, sound


@numba.njit(cache=True, nogil=True)
def met_before(table: Any, x0: Any, x1: Any, x2: Any, x3: Any, bounds: Array, reaches: Array) -> Any:
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
            if np.int64(popcount(word & np.uint64(0xFFFFFFFF))) <= bounds[pair]:
                return True
        elif table & 1 and np.int64(popcount(word & np.uint64(0xFFFF))) <= reaches[table - 1]:
            return True
    return False


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
def roomy(rows: Array, used: Any, more: Any) -> Array:
    """As `_grown`, for the rows of findings."""
    if used + more <= rows.shape[0]:
        return rows
    grown = np.empty((max(2 * rows.shape[0], used + more), 3), np.int64)
    for at in range(used):
        grown[at, 0], grown[at, 1], grown[at, 2] = rows[at, 0], rows[at, 1], rows[at, 2]
    return grown


@numba.njit(cache=True, nogil=True)
def columns(rows: Array, count: Any) -> Any:
    """The findings as they are handed out: int64, int64 and int16."""
    first, second, third = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(count, np.int16)
    for at in range(count):
        first[at], second[at], third[at] = rows[at, 0], rows[at, 1], rows[at, 2]
    return first, second, third
