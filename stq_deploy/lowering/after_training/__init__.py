"""Weights of few bits without training: equalized channels, bits by layer, rounding by layer, corrected means.

`equalize` scales channels without changing the model. `sensitivity` measures what few bits of a layer do to the
outputs, and `choose_bits` picks each layer's bits under a budget. `weights` goes through the layers: `few_bits` chooses
the scales, `rounding` the integers, and the means are corrected.
"""
