"""How robust a network is: presets of attacks, worst case a sample, signs of gradient masking, and tables of it."""
