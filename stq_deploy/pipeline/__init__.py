"""The steps from a model file to a program, their options, and a view of the result of each step."""

from stq_deploy.pipeline.options import Conversion, CostBudget, PostTraining, Rewrites
from stq_deploy.pipeline.pipeline import Pipeline, Rewritten, convert_model, load_any
from stq_deploy.pipeline.steps import STEPS, open_source
from stq_deploy.pipeline.watch import Watch, step_names

__all__ = [
    "STEPS",
    "Conversion",
    "CostBudget",
    "Pipeline",
    "PostTraining",
    "Rewrites",
    "Rewritten",
    "Watch",
    "convert_model",
    "load_any",
    "open_source",
    "step_names",
]  # fmt: skip
