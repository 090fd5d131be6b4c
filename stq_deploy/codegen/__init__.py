"""An integer network as C: its layers, weights, memory and public header, and manifest.json."""

from stq_deploy.codegen.generate import Generated, generate

__all__ = ["Generated", "generate"]
