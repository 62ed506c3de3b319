"""Numbers inside compiled loops: bfloat16 kept as uint16, and an exponential that becomes vector code."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from r1kit.kernels.compiler import compiled, compiled_in_order


@intrinsic
def float_of(typing: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.uint32), generate


@intrinsic
def bits_of(typing: Any, number: Any) -> Any:
    """The 32 bits of a float32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), generate


@intrinsic
def prefetch(typing: Any, array: Any, place: Any) -> Any:
    """Ask for the cache line of the number at flat index `place` of a contiguous array, soon to be read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        byte = ir.IntType(8).as_pointer()
        address = builder.bitcast(builder.gep(view.data, [arguments[1]]), byte)
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [address, number(0), number(2), number(1)])  # to read, into L2, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


def widen(number: Any) -> Any:
    """A float32 as it is, a bfloat16 (uint16) as a float32."""
    raise NotImplementedError("only inside compiled functions")


@overload(widen, jit_options={"forceinline": True})
def _widen(number: Any) -> Any:
    if number == types.uint16:

        def widened(number: Any) -> Any:
            return float_of(np.uint32(number) << np.uint32(16))

        return widened

    def kept(number: Any) -> Any:
        return number

    return kept


def store(array: Any, place: Any, number: Any) -> Any:
    """Write a float32 into a flat array of float32 or bfloat16 (uint16), rounded to the nearest, ties to
    even.
    """
    raise NotImplementedError("only inside compiled functions")


@overload(store, jit_options={"forceinline": True})
def _store(array: Any, place: Any, number: Any) -> Any:
    if array.dtype == types.uint16:

        def narrowed(array: Any, place: Any, number: Any) -> Any:
            bits = bits_of(np.float32(number))
            rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
            is_nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
            array[place] = np.uint16(np.uint32(0x7FC0) if is_nan else rounded)

        return narrowed

    def kept(array: Any, place: Any, number: Any) -> Any:
        array[place] = number

    return kept


@compiled
def store_row(row: Any, to: Any) -> None:
    """The flat `row`, float32, in the format of `to`."""
    for place in range(row.shape[0]):
        store(to, place, row[place])


@compiled
def highest(numbers: Any) -> Any:
    """The largest of the numbers; where one of them is NaN, any.

    Compared as integers that are in the same order: of those the largest is found by vector code.
    """
    most = np.int32(-(2**31))
    for place in range(numbers.shape[0]):
        most = max(most, _ordered(np.int32(bits_of(numbers[place]))))
    return float_of(np.uint32(_ordered(most)))


@compiled
def _ordered(bits: Any) -> Any:
    """A float32's bits as an integer in the order of numbers, and back."""
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


_LOG2_E = np.float32(1.4426950408889634)
_LN2_HIGH = np.float32(0.693359375)  # few bits, so that its multiples are exact
_LN2_LOW = np.float32(-2.12194440e-4)
_LEAST, _MOST = np.float32(-87.0), np.float32(88.0)


@compiled_in_order
def exponential(x: Any) -> Any:
    """e^x in float32, 2 units in the last place off at most; 0 up to -87, e^88 from 88 on, NaN for NaN.

    Cody and Waite's reduction and Cephes' polynomial: no call, so that loops over it become vector code.
    """
    clipped = x if x > _LEAST else _LEAST  # NaN becomes a number, which can be made an integer
    clipped = clipped if clipped < _MOST else _MOST
    power = np.floor(clipped * _LOG2_E + np.float32(0.5))
    rest = clipped - power * _LN2_HIGH
    rest = rest - power * _LN2_LOW
    y = np.float32(1.9875691500e-4)
    y = y * rest + np.float32(1.3981999507e-3)
    y = y * rest + np.float32(8.3334519073e-3)
    y = y * rest + np.float32(4.1665795894e-2)
    y = y * rest + np.float32(1.6666665459e-1)
    y = y * rest + np.float32(5.0000001201e-1)
    y = y * rest * rest + rest + np.float32(1.0)
    scale = float_of(np.uint32((np.int32(power) + np.int32(127)) << np.int32(23)))
    power_of_e = y * scale if x > _LEAST else np.float32(0.0)
    return np.float32(power_of_e) if x == x else np.float32(x)
