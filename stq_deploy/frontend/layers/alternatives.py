"""Keras and QKeras layers that have no handler: why, and what to use instead."""

from __future__ import annotations

_RECURRENT = "it carries a state from step to step, and a network here has none"
_3D = "images have two axes here"
_TRANSPOSED = "there is no transposed convolution"
_LOCAL = "every pixel would have weights of its own"
_STATISTICS = "its mean and variance are computed for every sample"
_PREPROCESSING = "samples reach the network as they are stored"
_TRAINED = "it wraps a layer while tensorflow_model_optimization trains it"
_TFMOT_QAT = "it is of tensorflow_model_optimization's quantization-aware training"
_HGQ = "it is of HGQ, where bit widths differ from weight to weight"
_LARQ = "it is of Larq"
_CODE = "it holds Python code, which is never run"

_USE_CONV1D = "use QConv1D with padding='causal' over a window of the sequence"
_USE_CONV2D = "use the 2-D layer of the same name on slices"
_USE_UPSAMPLING = "use UpSampling2D followed by QConv2D"
_USE_BATCH_NORM = "use BatchNormalization: it is folded exactly"
_STRIP_PRUNING = "call tfmot.sparsity.keras.strip_pruning(model), and save what it returns"
_STRIP_CLUSTERING = "call tfmot.clustering.keras.strip_clustering(model), and save what it returns"
_INT8 = "convert the model as it was before, with --post-training int8 --calibrate SAMPLES.npz, or train with QKeras"
_QKERAS = "build the model from QKeras's layers of the same kind, such as QDense and QConv2D, and train that"
_BINARY = "use QConv2D or QDense with kernel_quantizer='binary(alpha=1)', and copy the weights"
_PREPARE = "apply it to the samples before training, and train the model without it"

ALTERNATIVES: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D",
         "QLSTM", "QGRU", "QSimpleRNN", "QBidirectional"),
        (_RECURRENT, _USE_CONV1D),
    ),
    **dict.fromkeys(
        ("Conv3D", "MaxPooling3D", "AveragePooling3D", "GlobalMaxPooling3D", "GlobalAveragePooling3D",
         "ZeroPadding3D", "Cropping3D", "UpSampling3D", "SpatialDropout3D"),
        (_3D, _USE_CONV2D),
    ),
    **dict.fromkeys(
        ("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose", "QConv2DTranspose"),
        (_TRANSPOSED, _USE_UPSAMPLING),
    ),
    **dict.fromkeys(("LocallyConnected1D", "LocallyConnected2D"), (_LOCAL, "use QConv2D")),
    **dict.fromkeys(("LayerNormalization", "GroupNormalization", "UnitNormalization"), (_STATISTICS, _USE_BATCH_NORM)),
    **dict.fromkeys(
        ("Rescaling", "Normalization", "Resizing", "CenterCrop", "RandomFlip", "RandomCrop", "RandomRotation",
         "RandomTranslation", "RandomZoom", "RandomContrast", "RandomBrightness", "CategoryEncoding", "Hashing"),
        (_PREPROCESSING, _PREPARE),
    ),
    "PruneLowMagnitude": (_TRAINED, _STRIP_PRUNING),
    "ClusterWeights": (_TRAINED, _STRIP_CLUSTERING),
    **dict.fromkeys(
        ("QuantizeLayer", "QuantizeWrapper", "QuantizeWrapperV2", "QuantizeAnnotate"), (_TFMOT_QAT, _INT8)
    ),
    **dict.fromkeys(
        ("HQuantize", "HDense", "HConv1D", "HConv2D", "HActivation", "HAdd", "HDenseBatchNorm", "HConv1DBatchNorm",
         "HConv2DBatchNorm", "Signature", "PReshape", "PFlatten", "PPermute", "PConcatenate", "PMaxPooling1D",
         "PMaxPooling2D", "PAveragePooling1D", "PAveragePooling2D", "PZeroPadding1D", "PZeroPadding2D"),
        (_HGQ, _QKERAS),
    ),
    **dict.fromkeys(
        ("QuantDense", "QuantConv1D", "QuantConv2D", "QuantDepthwiseConv2D", "QuantSeparableConv1D",
         "QuantSeparableConv2D"),
        (_LARQ, _BINARY),
    ),
    "Lambda": (_CODE, "use ordinary layers"),
    "TFOpLambda": (
        "a TensorFlow function was called on a tensor",
        "use a Keras layer such as Add or Multiply; if it is QKeras's, set TF_USE_LEGACY_KERAS=1 before TensorFlow is "
        "imported",
    ),
    "KerasOperation": (
        "a function of keras.ops was called on a tensor",
        "use a Keras layer such as Reshape, Concatenate or Activation",
    ),
    "SlicingOpLambda": ("a tensor was indexed", "use Cropping1D or Cropping2D"),
    "TimeDistributed": ("it applies a layer to each step", "use QDense as it is, or the layer of one more dimension"),
    "Embedding": ("its input is a word's number, and samples are images here", "feed the model one-hot vectors"),
    "MultiHeadAttention": ("it multiplies two activations as matrices", "use convolutions"),
    "Attention": ("it multiplies two activations as matrices", "use convolutions"),
    "AdditiveAttention": ("it multiplies two activations as matrices", "use convolutions"),
    "Dot": ("it multiplies two activations as matrices", "use Multiply for products element by element"),
    "EinsumDense": ("its equation may contract any axes", "use QDense, which contracts the last one"),
    "Masking": ("samples are of one length", "pad the samples, and train the model without it"),
    "RepeatVector": ("it copies a vector along a new axis", "use Reshape to (1, n) followed by UpSampling1D"),
    "TernaryDense": ("no release of Keras has it to compare with", "use QDense with kernel_quantizer='ternary()'"),
    "QAdaptiveActivation": ("its integer bits are a variable of the training", "use QActivation with fixed bits"),
    "QDenseBatchnorm": ("qkeras 0.9 has no such layer", "use QDense followed by BatchNormalization"),
    "QOctaveConv2D": ("it is a model of several layers under one name", "use QConv2D"),
}  # fmt: skip
"""Class -> (reason, alternative)."""
