"""Filling bundles of vector registers from memory, indices and constants, and writing them to memory."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from gpuinit.kernels.numba_lanes import BUNDLE, REGISTER_BYTES, Lanes, lanes_of, pack, register_type, splat

__all__ = ["TILE_BYTES", "alternate", "count_up", "load_lanes", "load_tile", "store_lanes", "store_pairs", "stream_lanes"]

TILE_BYTES = 64


def _loader(bundle: int) -> Any:
    def load(typingctx: Any, array: Any, place: Any) -> Any:
        kind = Lanes(array.dtype, lanes_of(array.dtype), bundle)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            start = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
            register = register_type(kind.element, kind.width)
            pointer = builder.bitcast(start, register.as_pointer())
            return pack(builder, [_load(builder, pointer, r, kind.element) for r in range(kind.bundle)])

        return kind(array, types.int64), generate

    return load


load_lanes = intrinsic(_loader(BUNDLE))
"""load_lanes(array, place): the elements of a contiguous array from index `place` on, as many as a bundle holds."""

load_tile = intrinsic(_loader(TILE_BYTES // REGISTER_BYTES))
"""As `load_lanes`, in TILE_BYTES bytes, whatever the registers' size."""


def _load(builder: Any, pointer: Any, place: int, element: Any) -> Any:
    return builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), place)]), align=element.bitwidth // 8)


def _storer(past_the_cache: bool) -> Any:
    def store(typingctx: Any, array: Any, place: Any, value: Any) -> Any:
        element = array.dtype

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            start = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
            register = register_type(element, value.width)
            pointer = builder.bitcast(start, register.as_pointer())
            size = element.bitwidth // 8
            for r in range(value.bundle):
                full = builder.extract_value(args[2], r)
                lower = full if full.type == register else builder.trunc(full, register)
                target = builder.gep(pointer, [ir.Constant(ir.IntType(64), r)])
                written = builder.store(lower, target, align=size * value.width if past_the_cache else size)
                if past_the_cache:
                    one = ir.Constant(ir.IntType(32), 1)
                    written.set_metadata("nontemporal", builder.module.add_metadata([one]))
            return context.get_dummy_value()

        return types.void(array, types.int64, value), generate

    return store


store_lanes = intrinsic(_storer(past_the_cache=False))
"""store_lanes(array, place, value): write a bundle into a contiguous array from index `place` on.

The lower bits of unsigned integers, if the array's elements are narrower."""

stream_lanes = intrinsic(_storer(past_the_cache=True))
"""As `store_lanes`, past the caches: for large outputs, at addresses that are multiples of a stored register."""


@intrinsic
def count_up(typingctx: Any, start: Any, bundle: Any) -> Any:
    """start, start + 1, ... over the lanes of `bundle` (a literal) registers of uint64."""
    if not isinstance(bundle, types.IntegerLiteral):
        return None
    kind = Lanes(types.uint64, lanes_of(types.uint64), bundle.literal_value)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        first, register = splat(builder, args[0], kind.width), register_type(kind.element, kind.width)
        steps = [ir.Constant(register, [r * kind.width + lane for lane in range(kind.width)]) for r in range(kind.bundle)]
        return pack(builder, [builder.add(first, step) for step in steps])

    return kind(types.uint64, bundle), generate


@intrinsic
def store_pairs(typingctx: Any, array: Any, place: Any, even: Any, odd: Any) -> Any:
    """Write the elements of two bundles alternately into a contiguous array from index `place` on."""
    width = even.width

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        start = builder.gep(context.make_array(array)(context, builder, args[0]).data, [args[1]])
        pointer = builder.bitcast(start, register_type(array.dtype, width).as_pointer())
        for r in range(even.bundle):
            pair = [builder.extract_value(bundle, r) for bundle in args[2:]]
            for half in range(2):
                order = [(lane + half * width) // 2 + lane % 2 * width for lane in range(width)]
                mixed = builder.shuffle_vector(*pair, ir.Constant(ir.VectorType(ir.IntType(32), width), order))
                target = builder.gep(pointer, [ir.Constant(ir.IntType(64), 2 * r + half)])
                builder.store(mixed, target, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, even, odd), generate


@intrinsic
def alternate(typingctx: Any, even: Any, odd: Any) -> Any:
    """A bundle with `even` in the even lanes and `odd` in the odd ones."""
    kind = Lanes(even, lanes_of(even), BUNDLE)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        order = [lane % 2 * kind.width for lane in range(kind.width)]
        mask = ir.Constant(ir.VectorType(ir.IntType(32), kind.width), order)
        both = [splat(builder, value, kind.width) for value in args]
        return pack(builder, [builder.shuffle_vector(*both, mask)] * kind.bundle)

    return kind(even, odd), generate
