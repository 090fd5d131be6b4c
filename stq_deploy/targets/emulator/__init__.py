"""Emulated boards: the ELF that would be flashed, run on an emulated STM32H743 with its serial port as a pty."""
