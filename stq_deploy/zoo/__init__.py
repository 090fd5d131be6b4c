"""Networks of the paper, as reconstructed, and the quantization schemes of its Table III."""
