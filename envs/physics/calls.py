"""The loop that calls MuJoCo's C functions on one simulation after another, compiled by numba; see `batch`."""

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from scenes.kit.compiler import kept, numba

_BYTES = 8


def _caller(integers):
    """Compiled code that calls the C function at an address, with integers of so many bits and without a result."""

    def generate(context, builder, signature, args):
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(bits) for bits in integers])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), args[1:])
        return context.get_dummy_value()

    return types.void(types.intp, *(types.int32 if bits == 32 else types.intp for bits in integers)), generate


@intrinsic
def _work(typing, function, model, data):
    return _caller((64, 64))


@intrinsic
def _copy(typing, function, to, source, n):
    return _caller((64, 64, 32))


@kept(nogil=True)
def run(begin, end, model, data, calls, copy, inputs, given, outputs, wanted, widths_in, widths_out):
    """For simulations `begin` to before `end`: copy in what is given, make the calls, copy out what is wanted.

    Args:
        begin: First simulation.
        end: The one after the last.
        model: Address of the model.
        data: Of the data of each simulation.
        calls: Of functions that take both.
        copy: Of `mju_copy`.
        inputs: Where each simulation has the fields that are given, n k.
        given: Where the arrays are that they are copied from, k.
        outputs: Where each simulation has the fields that are wanted, n k.
        wanted: Where the arrays are that they are copied to, k.
        widths_in: Numbers of each field given, in a simulation.
        widths_out: Numbers of each field wanted.
    """
    for i in range(begin, end):
        for k in range(len(widths_in)):
            _copy(copy, inputs[i, k], given[k] + i * widths_in[k] * _BYTES, numba.int32(widths_in[k]))
        for call in calls:
            _work(call, model, data[i])
        for k in range(len(widths_out)):
            _copy(copy, wanted[k] + i * widths_out[k] * _BYTES, outputs[i, k], numba.int32(widths_out[k]))
