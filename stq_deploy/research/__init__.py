"""The TensorFlow half: quantizers with draws, training, and attacks."""
