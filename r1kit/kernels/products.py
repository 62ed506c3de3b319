"""Matrix products inside compiled loops, by the BLAS that PyTorch brings.

Intel's MKL, which is part of PyTorch on x86 processors, has a public Fortran interface: `sgemm` and
`gemm_bf16bf16f32` (oneMKL Developer Reference, "BLAS and sparse BLAS routines"). Calling it from the loops
spares what a call from Python costs each product of a small model, often more than the product itself.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from r1kit.kernels.compiler import compiled

_NAMES = {torch.float32: "sgemm_", torch.bfloat16: "gemm_bf16bf16f32_"}
_POINTERS = 13  # arguments, each by its address


@cache
def product_address(dtype: torch.dtype) -> int | None:
    """Where the function is that multiplies matrices of this format into float32; None without one."""
    if not torch.backends.mkl.is_available():  # type: ignore[no-untyped-call]
        return None
    libraries = Path(torch.__file__).parent / "lib"
    for path in (libraries / "libtorch_cpu.so", libraries / "torch_cpu.dll"):
        if dtype in _NAMES and path.is_file():
            function = getattr(ctypes.CDLL(str(path)), _NAMES[dtype], None)
            return None if function is None else ctypes.cast(function, ctypes.c_void_p).value
    return None


@intrinsic
def _call(typing: Any, address: Any, arguments: Any) -> Any:
    """Call the function at `address` with these addresses as its arguments."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte] * _POINTERS)
        function = builder.inttoptr(values[0], kind.as_pointer())
        pointers = [builder.extract_value(values[1], place) for place in range(_POINTERS)]
        builder.call(function, [builder.inttoptr(pointer, byte) for pointer in pointers])
        return context.get_dummy_value()

    return types.void(types.intp, types.UniTuple(types.intp, _POINTERS)), generate


@compiled
def multiply(address: Any, a: Any, a_turned: Any, b: Any, b_turned: Any, c: Any, keep: Any) -> None:
    """c = a @ b + keep * c, with a or b transposed first where it is `turned`.

    a and b are of the format of `address`, c is (M, N) float32; of all three the numbers of a row lie side by
    side, rows may lie apart. keep is 0 or 1.
    """
    rows, columns = c.shape
    inner = a.shape[0] if a_turned else a.shape[1]
    # Fortran counts columns first: for it these are the transposed matrices, c' = b' a'
    sizes = np.array([columns, rows, inner, _apart(b), _apart(a), _apart(c)], np.int32)
    factors = np.array([1.0, keep], np.float32)
    letters = np.array([ord("T") if b_turned else ord("N"), ord("T") if a_turned else ord("N")], np.uint8)
    n, one, of_b = np.intp(sizes.ctypes.data), np.intp(factors.ctypes.data), np.intp(letters.ctypes.data)
    m, k, b_apart, a_apart, c_apart = n + 4, n + 8, n + 12, n + 16, n + 20
    left, right, out = np.intp(a.ctypes.data), np.intp(b.ctypes.data), np.intp(c.ctypes.data)
    _call(
        address,
        (of_b, of_b + 1, n, m, k, one, right, b_apart, left, a_apart, one + 4, out, c_apart),
    )
    sizes[0], factors[0], letters[0] = 0, 0.0, 0  # their memory is in use up to here


@compiled
def _apart(matrix: Any) -> Any:
    """From one row to the next, in numbers."""
    return max(matrix.strides[0] // matrix.itemsize, matrix.shape[1])


@compiled
def product(address: Any, a: Any, b: Any, c: Any, keep: Any) -> None:
    """c = a @ b + keep * c, of matrices without gaps: see `multiply`."""
    multiply(address, a, False, b, False, c, keep)
