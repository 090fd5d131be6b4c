"""Robustness of a network: presets of attacks, worst case per sample, signs of gradient masking, and tables."""
