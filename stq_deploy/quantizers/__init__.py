"""Quantizers: QKeras' own, with stochastic ones that draw while training. Import the submodules (they need TF)."""
