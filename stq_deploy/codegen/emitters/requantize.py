"""The `stq_requantize` struct that all kernels with an accumulator take."""

from __future__ import annotations

from stq_deploy.codegen.emitters.base import Constant, LayerContext, Row, Struct, fields
from stq_deploy.codegen.literals import STQ_TYPES
from stq_deploy.network.requantize import (
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)

ARGUMENT = "&requantize"


def emit_requantize(context: LayerContext, requantize: Requantize) -> tuple[tuple[Constant, ...], Struct]:
    """The arrays of a requantization, and the struct `requantize` that refers to them."""
    constants: tuple[Constant, ...] = ()
    rows: tuple[Row, ...]
    output_type = STQ_TYPES[context.output.dtype]
    kind = fields(kind=f"STQ_REQUANTIZE_{requantize.kind.upper()}", output_type=output_type)
    if isinstance(requantize, MultiplierRequantize):
        constants = (
            Constant(
                context.constant_name("multiplier"),
                requantize.multiplier,
                "multiplier of each output channel",
            ),
            Constant(context.constant_name("offset"), requantize.offset, "offset of each output channel"),
        )
        rows = (
            kind,
            fields(left_shift=requantize.left_shift, right_shift=requantize.right_shift),
            fields(minimum=requantize.minimum, maximum=requantize.maximum),
            fields(multiplier=constants[0].name, offset=constants[1].name),
        )
    elif isinstance(requantize, ShiftRequantize):
        constants = (
            Constant(context.constant_name("offset"), requantize.offset, "offset of each output channel"),
            Constant(context.constant_name("shift"), requantize.shift, "right shift of each output channel"),
        )
        rows = (
            kind,
            fields(zero_point=requantize.zero_point, minimum=requantize.minimum, maximum=requantize.maximum),
            fields(offset=constants[0].name, shift=constants[1].name),
        )
    elif isinstance(requantize, WideRequantize):
        constants = (
            Constant(context.constant_name("multiplier"), requantize.multiplier, "multiplier of each output channel"),
            Constant(context.constant_name("offset"), requantize.offset, "offset of each output channel"),
            Constant(context.constant_name("shift"), requantize.shift, "right shift of each output channel"),
        )
        rows = (
            kind,
            fields(minimum=requantize.minimum, maximum=requantize.maximum),
            fields(multiplier=constants[0].name, wide_offset=constants[1].name, shift=constants[2].name),
        )
    elif isinstance(requantize, LongRequantize):
        constants = (
            Constant(context.constant_name("multiplier"), requantize.multiplier, "multiplier of each output channel"),
            Constant(context.constant_name("fraction"), requantize.fraction, "its fraction, in units of 2^-32"),
            Constant(context.constant_name("offset"), requantize.offset, "offset of each output channel"),
            Constant(context.constant_name("shift"), requantize.shift, "right shift of each output channel"),
            Constant(context.constant_name("lowest"), requantize.lowest, "lowest level of each output channel"),
            Constant(context.constant_name("highest"), requantize.highest, "highest level of each output channel"),
        )
        multiplier, fraction, offset, shift, lowest, highest = (constant.name for constant in constants)
        rows = (
            kind,
            fields(multiplier=multiplier, fraction=fraction, wide_offset=offset, shift=shift),
            fields(lowest=lowest, highest=highest),
        )
    elif isinstance(requantize, ThresholdRequantize):
        sign = Constant(context.constant_name("sign"), requantize.sign, "1 for a rising, -1 for a falling channel")
        levels = requantize.thresholds.shape[1] + 1
        bounds = fields(minimum=requantize.minimum, maximum=requantize.maximum, levels=levels)
        if levels == 1:  # a constant function; C has no empty arrays
            constants, rows = (sign,), (kind, bounds, fields(sign=sign.name))
        else:
            note = f"{levels - 1} ascending thresholds of each output channel"
            thresholds = Constant(context.constant_name("thresholds"), requantize.thresholds, note)
            constants = (thresholds, sign)
            rows = (kind, bounds, fields(thresholds=thresholds.name, sign=sign.name))
    elif isinstance(requantize, TableRequantize):
        shared = requantize.table.shape[0] == 1
        note = f"output level of accumulator {requantize.base} and up, " + (
            "for all channels" if shared else f"{requantize.table.shape[1]} entries per channel"
        )
        constants = (Constant(context.constant_name("levels"), requantize.table, note),)
        stride = 0 if shared else requantize.table.shape[1]
        rows = (kind, fields(table=constants[0].name, table_base=requantize.base, table_stride=stride))
    else:
        rows = (kind,)
    return constants, Struct("stq_requantize", "requantize", rows)
