"""What numba has no words for: a number that threads share; and SIMD code where LLVM would make none, or slow code: of short
loops over a block's 16 numbers it makes sixteen branches, or as many copies; three bytes of four it moves one by one; and it
leaves out stores that only some of the numbers want."""

import llvmlite.ir as ll
import numba
from numba import extending, types
from numba.core import cgutils

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


@extending.intrinsic
def pack(_, bytes_, i, pixels, j):
    """Write three bytes of each of the block of packed pixels that begins at `j`, as 12 numbers of four bytes from `i` on."""

    def make(context, builder, signature, given):
        (to, from_), byte = (signature.args[0], signature.args[2]), ll.IntType(8)
        start = builder.gep(context.make_array(from_)(context, builder, given[2]).data, [given[3]])
        four = builder.load(builder.bitcast(start, ll.VectorType(byte, 64).as_pointer()))
        four.align = 4
        kept = ll.Constant(ll.VectorType(ll.IntType(32), 48), [k for k in range(64) if k % 4 < 3])
        three = builder.shuffle_vector(four, ll.Constant(four.type, ll.Undefined), kept)
        end = builder.gep(context.make_array(to)(context, builder, given[0]).data, [given[1]])
        store = builder.store(three, builder.bitcast(end, three.type.as_pointer()))
        store.align = 4
        return context.get_dummy_value()

    return types.void(bytes_, types.uintp, pixels, types.uintp), make


def _extreme(name):
    """The lesser or the greater of two numbers. Python's `min` and `max` are choices to LLVM, and where one of the two stands in
    an array already and the result goes there, it makes a masked store, which costs AMD's processors without AVX-512 some
    twenty cycles."""

    @extending.intrinsic
    def extreme(_, a, b):
        def make(context, builder, signature, given):
            kind = given[0].type
            function = builder.module.declare_intrinsic(name, [kind], ll.FunctionType(kind, [kind, kind]))
            return builder.call(function, given, fastmath=("nnan", "nsz"))

        return a(a, a), make

    return extreme


lesser, greater = _extreme("llvm.minnum"), _extreme("llvm.maxnum")


@extending.intrinsic
def take(_, counter):
    """The number that the flat int64 array `counter` begins with, which is one more from then on: no two threads get the same."""

    def make(context, builder, signature, given):
        data = context.make_array(signature.args[0])(context, builder, given[0]).data
        return builder.atomic_rmw("add", data, ll.Constant(ll.IntType(64), 1), "monotonic")

    return types.int64(counter), make


def _most(name):
    """The least or the greatest of the block of `a` that begins at `i`."""

    @extending.intrinsic
    def most(_, a, i):
        def make(context, builder, signature, given):
            kind = ll.FunctionType(ll.FloatType(), [_BLOCK])
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(
                function, [_load(context, builder, signature.args[0], *given)], fastmath=("nnan", "nsz")
            )

        return numba.float32(a, types.uintp), make

    return most


least, greatest = _most("llvm.vector.reduce.fmin.v16f32"), _most("llvm.vector.reduce.fmax.v16f32")
