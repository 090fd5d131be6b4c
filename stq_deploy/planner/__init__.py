"""Before any C is written: each layer's kernel, how its weights are packed, where its tensors lie."""

from stq_deploy.planner.layers import emitted_ops
from stq_deploy.planner.plan import LayerPlan, Plan, plan_network

__all__ = ["LayerPlan", "Plan", "emitted_ops", "plan_network"]
