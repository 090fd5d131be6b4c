"""TensorFlow Lite's .tflite files."""
