"""The parts of TensorFlow Lite's schema that are read: names of numbers, and where each option of an operator is.

Version 3 of the schema (tensorflow/lite/schema/schema.fbs), whose numbers never change.
"""

from __future__ import annotations

from dataclasses import dataclass

IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of a file."""
VERSION = 3

TYPES = {
    0: "float32", 1: "float16", 2: "int32", 3: "uint8", 4: "int64", 5: "string", 6: "bool", 7: "int16",
    8: "complex64", 9: "int8", 10: "float64", 11: "complex128", 12: "uint64", 13: "resource", 14: "variant",
    15: "uint32", 16: "uint16", 17: "int4", 18: "bfloat16", 19: "int2", 20: "uint4",
}  # fmt: skip
"""Type of a tensor."""

_NAMES = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER CUMSUM CALL_ONCE BROADCAST_TO RFFT2D CONV_3D IMAG
REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL CONV_3D_TRANSPOSE VAR_HANDLE
READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE RANDOM_UNIFORM MULTINOMIAL GELU
DYNAMIC_UPDATE_SLICE RELU_0_TO_1
"""
OPERATORS = dict(enumerate(_NAMES.split()))
"""Code of an operator -> its name; later codes are not named."""
CUSTOM = 32

ACTIVATIONS = {0: "", 1: "RELU", 2: "RELU_N1_TO_1", 3: "RELU6", 4: "TANH", 5: "SIGN_BIT"}
"""Activation that an operator applies to its result."""
PADDINGS = {0: "SAME", 1: "VALID"}


@dataclass(frozen=True)
class Option:
    """A setting of an operator: its place in the table of options, its kind and its default."""

    slot: int
    kind: str
    default: float = 0


_STRIDES = {"stride_w": Option(1, "int32"), "stride_h": Option(2, "int32")}
_POOL = {
    "padding": Option(0, "int8"),
    **_STRIDES,
    "filter_w": Option(3, "int32"),
    "filter_h": Option(4, "int32"),
    "activation": Option(5, "int8"),
}
_ACTIVATION = {"activation": Option(0, "int8")}
OPTIONS: dict[str, tuple[int, dict[str, Option]]] = {
    "CONV_2D": (
        1,
        {
            "padding": Option(0, "int8"),
            **_STRIDES,
            "activation": Option(3, "int8"),
            "dilation_w": Option(4, "int32", 1),
            "dilation_h": Option(5, "int32", 1),
        },
    ),
    "DEPTHWISE_CONV_2D": (
        2,
        {
            "padding": Option(0, "int8"),
            **_STRIDES,
            "multiplier": Option(3, "int32"),
            "activation": Option(4, "int8"),
            "dilation_w": Option(5, "int32", 1),
            "dilation_h": Option(6, "int32", 1),
        },
    ),
    "AVERAGE_POOL_2D": (5, _POOL),
    "MAX_POOL_2D": (5, _POOL),
    "FULLY_CONNECTED": (
        8,
        {"activation": Option(0, "int8"), "weights_format": Option(1, "int8"), "keep_num_dims": Option(2, "uint8")},
    ),
    "SOFTMAX": (9, {"beta": Option(0, "float32")}),
    "CONCATENATION": (10, {"axis": Option(0, "int32"), "activation": Option(1, "int8")}),
    "ADD": (11, _ACTIVATION),
    "MUL": (21, _ACTIVATION),
    "MEAN": (27, {"keep_dims": Option(0, "uint8")}),
    "SUB": (28, _ACTIVATION),
    "LEAKY_RELU": (75, {"alpha": Option(0, "float32")}),
}
"""Operator -> (number of the kind of its table of options, the settings in it)."""
