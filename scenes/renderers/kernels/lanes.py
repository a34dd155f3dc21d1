"""A block's 16 numbers at once, where LLVM would not: of short loops it makes sixteen branches, or as many copies."""

import llvmlite.ir as ll
import numba
from numba import extending, types

_BLOCK = ll.VectorType(ll.FloatType(), 16)


def _at(context, builder, kind, array, place):
    """Where a block of a flat float32 array begins."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [place]), _BLOCK.as_pointer())


def _load(context, builder, kind, array, place):
    made = builder.load(_at(context, builder, kind, array, place))
    made.align = 4
    return made


def _any(builder, truths):
    found = builder.bitcast(truths, ll.IntType(16))
    return builder.icmp_unsigned("!=", found, ll.Constant(ll.IntType(16), 0))


@extending.intrinsic
def any_less(_, a, i, b, j):
    """Whether any of the block of `a` that begins at `i` is less than its fellow in that of `b` at `j`."""

    def make(context, builder, signature, given):
        x = _load(context, builder, signature.args[0], *given[:2])
        y = _load(context, builder, signature.args[2], *given[2:])
        return _any(builder, builder.fcmp_ordered("<", x, y))

    return types.boolean(a, types.uintp, b, types.uintp), make


@extending.intrinsic
def any_over(_, a, i, limit):
    """Whether any of the block of `a` that begins at `i` is greater than `limit`."""

    def make(context, builder, signature, given):
        x = _load(context, builder, signature.args[0], *given[:2])
        one = builder.insert_element(ll.Constant(_BLOCK, ll.Undefined), given[2], ll.Constant(ll.IntType(32), 0))
        zeros = ll.Constant(ll.VectorType(ll.IntType(32), 16), None)
        all_ = builder.shuffle_vector(one, ll.Constant(_BLOCK, ll.Undefined), zeros)
        return _any(builder, builder.fcmp_ordered(">", x, all_))

    return types.boolean(a, types.uintp, numba.float32), make


@extending.intrinsic
def move(_, a, i, j):
    """Copy the block of `a` that begins at `i` to `j`; they do not overlap, or are the same."""

    def make(context, builder, signature, given):
        kind, (array, source, to) = signature.args[0], given
        store = builder.store(_load(context, builder, kind, array, source), _at(context, builder, kind, array, to))
        store.align = 4
        return context.get_dummy_value()

    return types.void(a, types.uintp, types.uintp), make
