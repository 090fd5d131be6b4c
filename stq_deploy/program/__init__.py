"""Network -> program, before any C is written: each layer's kernel and packing, and the place of its tensors."""

from stq_deploy.program.kernels.trade import DEFAULT, OPTIMIZATIONS, RAM_PER_TIME, Optimization
from stq_deploy.program.plan import plan_network, with_scratch_apart
from stq_deploy.program.program import Arena, ArenaScratch, ArenaTensor, Layer, Program

__all__ = [
    "DEFAULT", "OPTIMIZATIONS", "RAM_PER_TIME", "Arena", "ArenaScratch", "ArenaTensor", "Layer", "Optimization",
    "Program", "plan_network", "with_scratch_apart",
]  # fmt: skip
