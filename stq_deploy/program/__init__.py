"""Network -> program, before any C is written: each layer's kernel and packing, and the place of its tensors."""

from stq_deploy.program.kernels.trade import DEFAULT, OPTIMIZATIONS, Optimization
from stq_deploy.program.plan import plan_network
from stq_deploy.program.program import Arena, ArenaTensor, Layer, Program

__all__ = ["DEFAULT", "OPTIMIZATIONS", "Arena", "ArenaTensor", "Layer", "Optimization", "Program", "plan_network"]
