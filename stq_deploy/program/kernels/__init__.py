"""One file for each kind of op: its family of kernels, as a `KernelSpec`. `choice.FAMILIES` lists them all."""
