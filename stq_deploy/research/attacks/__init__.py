"""Adversarial attacks, one file each: our own, and some through the Adversarial Robustness Toolbox (ART)."""
