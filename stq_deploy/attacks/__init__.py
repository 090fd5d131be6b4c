"""Adversarial attacks, through the Adversarial Robustness Toolbox (ART); one file per attack."""
