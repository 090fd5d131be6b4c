"""QKeras quantizers, with stochastic ones that draw while training.

Import the submodules: they need TensorFlow.
"""
