"""stq-deploy: few-bit QKeras networks on microcontrollers, exact to the byte, with their robustness measured there."""

__version__ = "0.1.0"
