"""Vectors of 16 float32 numbers inside compiled loops, for one row or for several rows beside each other.

A loop over plain numbers leaves it to the compiler which of its sums stay in registers, and in which order
they are added. With these every sum is a variable, and adds in the order written.

A vector of R rows, a power of two, has 16 R lanes, those of a row together. `rows` is a tuple of R numbers:
the compiler knows its length.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.core.cgutils import get_or_insert_function
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic, register_model

from r1kit.kernels.compiler import compiled

LANES = 16  # of one row

# see `floats.exponential`
_LOG2_E, _LN2_HIGH, _LN2_LOW = 1.4426950408889634, 0.693359375, -2.12194440e-4
_POLYNOMIAL = (
    *(1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3),
    *(4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1),
)
_FLOAT, _NUMBER = ir.FloatType(), ir.IntType(32)


class Vector(types.Type):  # type: ignore[misc]
    """The type of a vector of `rows` rows."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        super().__init__(name=f"Vector({rows})")


@register_model(Vector)
class _VectorModel(PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, ir.VectorType(_FLOAT, LANES * kind.rows))


def _start(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    """The address of the number at flat index `place` of a contiguous array."""
    view = context.make_array(kind)(context, builder, array)
    return builder.gep(view.data, [place])


def _joined(builder: Any, parts: list[Any]) -> Any:
    """One vector of equal vectors' lanes, in order."""
    while len(parts) > 1:
        lanes = parts[0].type.count * 2
        order = ir.Constant(ir.VectorType(_NUMBER, lanes), list(range(lanes)))
        parts = [
            builder.shuffle_vector(one, two, order) for one, two in zip(parts[::2], parts[1::2], strict=True)
        ]
    return parts[0]


def _all_lanes(builder: Any, number: Any) -> Any:
    one = ir.VectorType(_FLOAT, LANES)
    first = builder.insert_element(ir.Constant(one, ir.Undefined), number, _NUMBER(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_NUMBER, LANES), [0] * LANES))


def _loaded(builder: Any, start: Any, number: Any) -> Any:
    """16 numbers of memory, widened where they are bfloat16 (uint16)."""
    stored = _FLOAT if number == types.float32 else ir.IntType(16)
    address = builder.bitcast(start, ir.VectorType(stored, LANES).as_pointer())
    found = builder.load(address)
    found.align = stored.width // 8 if number != types.float32 else 4
    if number == types.float32:
        return found
    whole = ir.VectorType(_NUMBER, LANES)
    bits = builder.shl(builder.zext(found, whole), ir.Constant(whole, [16] * LANES))
    return builder.bitcast(bits, ir.VectorType(_FLOAT, LANES))


@intrinsic
def load(typing: Any, array: Any, place: Any, rows: Any) -> Any:
    """16 numbers of a flat array, float32 or bfloat16 (uint16), from `place` on: the same for all rows."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = _start(context, builder, array, *arguments[:2])
        return _joined(builder, [_loaded(builder, start, array.dtype)] * rows.count)

    return Vector(rows.count)(array, types.intp, rows), generate


@intrinsic
def load_rows(typing: Any, array: Any, place: Any, stride: Any, rows: Any) -> Any:
    """16 numbers for each row: row r's from `place` + r `stride` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        starts = _starts(context, builder, array, arguments, rows)
        return _joined(builder, [_loaded(builder, start, array.dtype) for start in starts])

    return Vector(rows.count)(array, types.intp, types.intp, rows), generate


@intrinsic
def spread(typing: Any, array: Any, place: Any, stride: Any, rows: Any) -> Any:
    """One float32 for each row, in all of its lanes: row r's is at `place` + r `stride`."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        starts = _starts(context, builder, array, arguments, rows)
        return _joined(builder, [_all_lanes(builder, builder.load(start)) for start in starts])

    return Vector(rows.count)(array, types.intp, types.intp, rows), generate


@intrinsic
def save_rows(typing: Any, array: Any, place: Any, stride: Any, vector: Any) -> Any:
    """Write row r's 16 numbers into a flat float32 array from `place` + r `stride` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for row, start in enumerate(_starts(context, builder, array, arguments, vector)):
            lanes = list(range(row * LANES, (row + 1) * LANES))
            order = ir.Constant(ir.VectorType(_NUMBER, LANES), lanes)
            part = builder.shuffle_vector(arguments[3], arguments[3], order)
            address = builder.bitcast(start, part.type.as_pointer())
            builder.store(part, address).align = 4
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, vector), generate


def _starts(context: Any, builder: Any, array: Any, arguments: Any, rows: Any) -> list[Any]:
    """The address of each row's first number; `arguments` are array, place, stride, …"""
    count = rows.rows if isinstance(rows, Vector) else rows.count
    places = [arguments[1]]
    for _ in range(count - 1):
        places.append(builder.add(places[-1], arguments[2]))
    return [_start(context, builder, array, arguments[0], place) for place in places]


def _by_lane(generate: Callable[..., Any]) -> Any:
    """What generates the code of an operation of vectors, lane by lane."""

    def generated(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return generate(builder, *arguments)

    return generated


@intrinsic
def zeros(typing: Any, rows: Any) -> Any:
    """0 in all lanes."""
    lanes = ir.VectorType(_FLOAT, LANES * rows.count)
    return Vector(rows.count)(rows), _by_lane(lambda builder, _: ir.Constant(lanes, [0.0] * lanes.count))


@intrinsic
def plus(typing: Any, a: Any, b: Any) -> Any:
    """a + b."""
    return a(a, b), _by_lane(lambda builder, *pair: builder.fadd(*pair))


@intrinsic
def times(typing: Any, a: Any, b: Any) -> Any:
    """a * b."""
    return a(a, b), _by_lane(lambda builder, *pair: builder.fmul(*pair))


@intrinsic
def minus(typing: Any, a: Any, b: Any) -> Any:
    """a - b."""
    return a(a, b), _by_lane(lambda builder, *pair: builder.fsub(*pair))


@intrinsic
def larger(typing: Any, a: Any, b: Any) -> Any:
    """The larger one; b where one of them is NaN."""
    return a(a, b), _by_lane(_larger)


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


@intrinsic
def largest(typing: Any, vector: Any) -> Any:
    """The largest lane of each row, in all of its lanes; any where one is NaN."""

    def generate(builder: Any, found: Any) -> Any:
        for apart in (8, 4, 2, 1):
            order = [lane ^ apart for lane in range(found.type.count)]
            other = ir.Constant(ir.VectorType(_NUMBER, len(order)), order)
            found = _larger(builder, found, builder.shuffle_vector(found, found, other))
        return found

    return vector(vector), _by_lane(generate)


@intrinsic
def up_to(typing: Any, vector: Any, count: Any) -> Any:
    """The first `count` lanes of each row, and minus infinity in the others."""

    def generate(builder: Any, whole: Any, count: Any) -> Any:
        lanes = whole.type.count
        numbers = ir.VectorType(_NUMBER, lanes)
        one = builder.insert_element(
            ir.Constant(numbers, ir.Undefined), builder.trunc(count, _NUMBER), _NUMBER(0)
        )
        counts = builder.shuffle_vector(one, one, ir.Constant(numbers, [0] * lanes))
        places = ir.Constant(numbers, [lane % LANES for lane in range(lanes)])
        least = ir.Constant(whole.type, [-math.inf] * lanes)
        return builder.select(builder.icmp_signed("<", places, counts), whole, least)

    return vector(vector, types.intp), _by_lane(generate)


@intrinsic
def exponentials(typing: Any, vector: Any) -> Any:
    """e^x of each lane, at most 0: as `floats.exponential`, 0 up to -87."""

    def generate(builder: Any, x: Any) -> Any:
        kind = x.type

        def all_of(number: Any) -> Any:
            return ir.Constant(kind, [float(np.float32(number))] * kind.count)

        def fused(a: Any, b: Any, c: Any) -> Any:
            return _fused(builder, a, b, c)

        seen = builder.fcmp_ordered(">", x, all_of(-87.0))
        clipped = builder.select(seen, x, all_of(-87.0))
        name, of = f"llvm.floor.v{kind.count}f32", ir.FunctionType(kind, [kind])
        floor = get_or_insert_function(builder.module, of, name)
        power = builder.call(floor, [fused(clipped, all_of(_LOG2_E), all_of(0.5))])
        rest = fused(power, all_of(-_LN2_HIGH), clipped)
        rest = fused(power, all_of(-_LN2_LOW), rest)
        y = all_of(_POLYNOMIAL[0])
        for factor in _POLYNOMIAL[1:]:
            y = fused(y, rest, all_of(factor))
        y = builder.fadd(fused(y, builder.fmul(rest, rest), rest), all_of(1.0))
        numbers = ir.VectorType(_NUMBER, kind.count)
        biased = builder.add(builder.fptosi(power, numbers), ir.Constant(numbers, [127] * kind.count))
        scale = builder.bitcast(builder.shl(biased, ir.Constant(numbers, [23] * kind.count)), kind)
        of_numbers = builder.select(seen, builder.fmul(y, scale), all_of(0.0))
        return builder.select(builder.fcmp_unordered("uno", x, x), x, of_numbers)

    return vector(vector), _by_lane(generate)


@intrinsic
def multiply_add(typing: Any, a: Any, b: Any, c: Any) -> Any:
    """a * b + c, rounded once where the processor can."""

    return a(a, b, c), _by_lane(_fused)


def _fused(builder: Any, a: Any, b: Any, c: Any) -> Any:
    kind = a.type
    name, of = f"llvm.fmuladd.v{kind.count}f32", ir.FunctionType(kind, [kind] * 3)
    return builder.call(get_or_insert_function(builder.module, of, name), [a, b, c])


@intrinsic
def _pointer(typing: Any, address: Any, like: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.intp, like), generate


@compiled
def numbers_at(address: Any, count: Any, like: Any) -> Any:
    """`count` numbers of the format of the array `like` that lie at an address, as a flat array.

    Whoever gives the address keeps the memory.
    """
    return carray(_pointer(address, like), (np.intp(count),))
