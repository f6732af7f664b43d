"""PDQ for numba: the same float32 operations in the same order as `pdq_twin`, arranged to stay in the cache.

A picture is worked on in bands of `LANES` rows. Within a band the running means along the rows go side by
side, one lane a row (the band lies turned, as a `tile`, so that its lanes are a machine register's lanes);
the means down the columns take one row at a time and keep only the last rows that their window still needs.
Of the second round only 64 columns are ever asked for, so the full-size float picture never exists: memory
is about (4 * LANES + height / 128) * width * 4 bytes, and 256 bytes a row.

No fast-math: every rounding must fall as in the reference. Arrays: rgb (h, w, 3), or (h, w, 1) that stands for
three equal channels, uint8 C-contiguous, all others float32 C-contiguous; compiled at the first call for exactly
these. The two vector intrinsics stand in this file because a change to another one would not make numba compile
its stored kernels anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from havenline.fingerprints.pdq_twin import SIDE, SMALLEST, dct_matrix

LANES = 32
_STEP = 8  # rows and columns that one intrinsic turns
_DCT = dct_matrix()
_TURNED_DCT = np.ascontiguousarray(_DCT.T)
_RED, _GREEN, _BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)

_FLOATS = ir.VectorType(ir.FloatType(), _STEP)
_WORDS = ir.VectorType(ir.IntType(32), _STEP)
_PIXELS = ir.VectorType(ir.IntType(8), 3 * _STEP)


def _lane_choice(lanes: list[int]) -> Any:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes)


def _row_pointers(context: Any, builder: Any, kind: Any, array: Any, row: Any, column: Any) -> list[Any]:
    """The addresses of [row + k, column] for k = 0..7 in a C-contiguous array of two or three dimensions."""
    made = context.make_array(kind)(context, builder, array)
    sizes = cgutils.unpack_tuple(builder, made.shape)  # type: ignore[no-untyped-call]
    addresses = []
    for k in range(_STEP):
        at = builder.add(builder.mul(builder.add(row, row.type(k)), sizes[1]), column)
        for size in sizes[2:]:
            at = builder.mul(at, size)
        addresses.append(builder.gep(made.data, [at]))
    return addresses


def _turn_vectors(builder: Any, rows: list[Any]) -> list[Any]:
    """Eight vectors of eight lanes, transposed by swapping halves, then quarters, then neighbours."""
    half = _STEP // 2
    while half:
        turned = list(rows)
        for i in range(_STEP):
            if not i & half:
                upper, lower = rows[i], rows[i | half]
                first = [_STEP + (k ^ half) if k & half else k for k in range(_STEP)]
                second = [_STEP + k if k & half else k | half for k in range(_STEP)]
                turned[i] = builder.shuffle_vector(upper, lower, _lane_choice(first))
                turned[i | half] = builder.shuffle_vector(upper, lower, _lane_choice(second))
        rows, half = turned, half // 2
    return rows


def _store_turned(context: Any, builder: Any, kind: Any, args: Any, rows: list[Any]) -> None:
    targets = _row_pointers(context, builder, kind, *args)
    for target, vector in zip(targets, _turn_vectors(builder, rows), strict=True):
        builder.store(vector, builder.bitcast(target, _FLOATS.as_pointer())).align = 4


def _as_intrinsic(recipe: Any) -> Any:
    """`numba.intrinsic` for the type checker: what is called has one argument fewer than what is written."""
    return intrinsic(recipe)


@_as_intrinsic
def _turn8(typing_context, source, row, column, target, target_row, target_column):  # type: ignore[no-untyped-def]
    """target[target_row + x, target_column + y] = source[row + y, column + x] for x, y in 0..7, unchecked."""
    signature = types.void(source, types.intp, types.intp, target, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = []
        for address in _row_pointers(context, builder, signature.args[0], *args[:3]):
            rows.append(builder.load(builder.bitcast(address, _FLOATS.as_pointer())))
            rows[-1].align = 4
        _store_turned(context, builder, signature.args[3], args[3:], rows)
        return context.get_dummy_value()

    return signature, generate


@_as_intrinsic
def _luma8(typing_context, rgb, row, column, target, target_row, target_column):  # type: ignore[no-untyped-def]
    """As `_turn8`, of the brightness of rgb (h, w, 3) uint8, in the same steps as `_luma`."""
    signature = types.void(rgb, types.intp, types.intp, target, types.intp, types.intp)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        rows = []
        for address in _row_pointers(context, builder, signature.args[0], *args[:3]):
            pixels = builder.load(builder.bitcast(address, _PIXELS.as_pointer()))
            pixels.align = 1
            parts = []
            for channel, weight in enumerate((_RED, _GREEN, _BLUE)):
                chosen = _lane_choice([3 * k + channel for k in range(_STEP)])
                some = builder.shuffle_vector(pixels, ir.Constant(_PIXELS, ir.Undefined), chosen)
                values = builder.sitofp(builder.zext(some, _WORDS), _FLOATS)
                parts.append(builder.fmul(_FLOATS([float(weight)] * _STEP), values))
            rows.append(builder.fadd(builder.fadd(parts[0], parts[1]), parts[2]))
        _store_turned(context, builder, signature.args[3], args[3:], rows)
        return context.get_dummy_value()

    return signature, generate


@njit(cache=True, nogil=True, error_model="numpy")
def _luma(rgb, y, x):  # type: ignore[no-untyped-def]
    channels = rgb.shape[2]  # three, or one that stands for all three
    part = _RED * np.float32(rgb[y, x, 0]) + _GREEN * np.float32(rgb[y, x, channels // 2])
    return part + _BLUE * np.float32(rgb[y, x, channels - 1])


@njit(cache=True, nogil=True, error_model="numpy")
def _luma_tile(rgb, top, rows, tile):  # type: ignore[no-untyped-def]
    """tile[x, lane] = brightness of rgb[top + lane, x]; lanes from `rows` on keep what they hold."""
    width = rgb.shape[1]
    whole = width // _STEP * _STEP if rows == LANES and rgb.shape[2] == 3 else 0
    for x in range(0, whole, _STEP):
        for lane in range(0, LANES, _STEP):
            _luma8(rgb, top + lane, x, tile, x, lane)
    for lane in range(rows):
        for x in range(whole, width):
            tile[x, lane] = _luma(rgb, top + lane, x)


@njit(cache=True, nogil=True, error_model="numpy")
def _slide(tile, at, length, window, total):  # type: ignore[no-untyped-def]
    """Move the running sums of all lanes to row `at`; how many rows they cover then."""
    lanes = tile.shape[1]  # not the constant: the compiler's vectoriser wants a loop, not 32 statements
    if window <= at < length:
        for lane in range(lanes):
            total[lane] = (total[lane] + tile[at, lane]) - tile[at - window, lane]
        return np.float32(window)
    if at < length:
        for lane in range(lanes):
            total[lane] += tile[at, lane]
        return np.float32(at + 1)
    for lane in range(lanes):
        total[lane] -= tile[at - window, lane]
    return np.float32(length + window - 1 - at)


@njit(cache=True, nogil=True, error_model="numpy")
def _means_to_ring(tile, width, window, total, few, ring, first):  # type: ignore[no-untyped-def]
    """Running means along the rows that lie in tile as lanes, turned back into ring[first:first + LANES]."""
    lead = (window + 2) // 2 - 1
    lanes = tile.shape[1]
    for lane in range(lanes):
        total[lane] = np.float32(0)
    for at in range(width + lead):
        size = _slide(tile, at, width, window, total)
        x = at - lead
        if x < 0:
            continue
        for lane in range(lanes):
            few[x % _STEP, lane] = total[lane] / size
        if x % _STEP == _STEP - 1 or x == width - 1:
            for lane in range(0, LANES, _STEP):
                _turn8(few, 0, lane, ring, first + lane, x - x % _STEP)


@njit(cache=True, nogil=True, error_model="numpy")
def _means_to_columns(tile, width, window, total, wanted, rows, narrow, first):  # type: ignore[no-untyped-def]
    """As `_means_to_ring`, but only at the 64 columns `wanted` (ascending): narrow[first + lane, k]."""
    lead = (window + 2) // 2 - 1
    for lane in range(tile.shape[1]):
        total[lane] = np.float32(0)
    k = 0
    for at in range(width + lead):
        size = _slide(tile, at, width, window, total)
        while k < SIDE and wanted[k] == at - lead:
            for lane in range(rows):
                narrow[first + lane, k] = total[lane] / size
            k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _mean_row(ring, at, height, window, sums, out, row):  # type: ignore[no-untyped-def]
    """Take row `at` into the running sums down the columns, and write their means to out[row]."""
    width = sums.shape[0]
    fresh, stale = at % ring.shape[0], (at - window) % ring.shape[0]
    if window <= at < height:
        size = np.float32(window)
        for x in range(width):
            total = (sums[x] + ring[fresh, x]) - ring[stale, x]
            sums[x] = total
            out[row, x] = total / size
        return
    if at < height:
        size = np.float32(at + 1)
        for x in range(width):
            sums[x] += ring[fresh, x]
    else:
        size = np.float32(height + window - 1 - at)
        for x in range(width):
            sums[x] -= ring[stale, x]
    for x in range(width):
        out[row, x] = sums[x] / size


@njit(cache=True, nogil=True, error_model="numpy")
def _centres(length):  # type: ignore[no-untyped-def]
    """The 64 rows or columns that are kept of `length`."""
    out = np.empty(SIDE, np.int64)
    for k in range(SIDE):
        out[k] = int(((k + 0.5) * length) / SIDE)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _narrowed(rgb):  # type: ignore[no-untyped-def]
    """(h, w, 3) uint8 to (h, 64): the first round of means, and the second along the rows at 64 columns."""
    height, width = rgb.shape[0], rgb.shape[1]
    along, down = (width + 127) // 128, (height + 127) // 128
    lead = (down + 2) // 2 - 1
    columns = _centres(width)
    padded = (width + _STEP - 1) // _STEP * _STEP
    tile = np.zeros((padded, LANES), np.float32)
    few = np.zeros((_STEP, LANES), np.float32)
    ring = np.empty(((2 * LANES + down - 1) // LANES * LANES, padded), np.float32)
    done = np.zeros((LANES, padded), np.float32)
    total = np.empty(LANES, np.float32)
    sums = np.zeros(width, np.float32)
    narrow = np.empty((height, SIDE), np.float32)
    for at in range(height + lead):
        if at < height and at % LANES == 0:
            _luma_tile(rgb, at, min(LANES, height - at), tile)
            _means_to_ring(tile, width, along, total, few, ring, at % ring.shape[0])
        y = at - lead
        _mean_row(ring, at, height, down, sums, done, max(y, 0) % LANES)
        if y >= 0 and (y % LANES == LANES - 1 or y == height - 1):
            for x in range(0, padded, _STEP):
                for lane in range(0, LANES, _STEP):
                    _turn8(done, lane, x, tile, x, lane)
            first = y - y % LANES
            _means_to_columns(tile, width, along, total, columns, y - first + 1, narrow, first)
    return narrow


@njit(cache=True, nogil=True, error_model="numpy")
def reduced_kernel(rgb):  # type: ignore[no-untyped-def]
    """(h, w, 3) uint8 to the 64 x 64 float32 picture, equal to the twin's `reduced(luma(rgb))`."""
    height, width = rgb.shape[0], rgb.shape[1]
    small = np.empty((SIDE, SIDE), np.float32)
    if height == SIDE and width == SIDE:
        for i in range(SIDE):
            for j in range(SIDE):
                small[i, j] = _luma(rgb, i, j)
        return small
    narrow = _narrowed(rgb)
    rows, window = _centres(height), (height + 127) // 128
    lead = (window + 2) // 2 - 1
    sums, means = np.zeros(SIDE, np.float32), np.empty((1, SIDE), np.float32)
    k = 0
    for at in range(height + lead):
        _mean_row(narrow, at, height, window, sums, means, 0)
        while k < SIDE and rows[k] == at - lead:
            for j in range(SIDE):
                small[k, j] = means[0, j]
            k += 1
    return small


@njit(cache=True, nogil=True, error_model="numpy")
def _quality(small):  # type: ignore[no-untyped-def]
    """0..100 from the 64 x 64 picture."""
    gradients = 0
    hundred, full = np.float32(100), np.float32(255)
    for i in range(SIDE):
        for j in range(SIDE):
            if i < SIDE - 1:
                gradients += abs(int(((small[i, j] - small[i + 1, j]) * hundred) / full))
            if j < SIDE - 1:
                gradients += abs(int(((small[i, j] - small[i, j + 1]) * hundred) / full))
    return min(gradients // 90, 100)


@njit(cache=True, nogil=True, error_model="numpy")
def _transform(small, matrix, turned):  # type: ignore[no-untyped-def]
    """The 16 x 16 low frequencies of the 64 x 64 picture, each summed over k = 0..63 in order."""
    tall = np.zeros((16, SIDE), np.float32)
    for i in range(16):
        for k in range(SIDE):
            for j in range(SIDE):
                tall[i, j] += matrix[i, k] * small[k, j]
    out = np.zeros((16, 16), np.float32)
    for i in range(16):
        for k in range(SIDE):
            for j in range(16):
                out[i, j] += tall[i, k] * turned[k, j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _waves(rgb, matrix, turned):  # type: ignore[no-untyped-def]
    small = reduced_kernel(rgb)
    return _transform(small, matrix, turned), _quality(small)


def pdq_waves(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.float32], int]:
    """(h, w, 3) uint8, no side below `SMALLEST`, to the (16, 16) frequencies and the quality 0..100."""
    # One compiled form only: views and read-only arrays are copied into it.
    waves, quality = _waves(np.require(rgb, np.uint8, ["C", "W"]), _DCT, _TURNED_DCT)
    return waves, int(quality)


def pdq_bits(rgb: NDArray[np.uint8]) -> tuple[NDArray[np.bool_], int]:
    """(h, w, 3) uint8 to (256 bits in the reference's order, quality 0..100), equal to `pdq_twin`."""
    if min(rgb.shape[:2]) < SMALLEST:
        return np.zeros(256, dtype=np.bool_), 0
    waves, quality = pdq_waves(rgb)
    values = waves.reshape(256)
    return values > np.sort(values)[127], quality
