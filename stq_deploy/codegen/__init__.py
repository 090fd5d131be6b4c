"""An integer network as C: network.c, network.h, weights.c, weights.h and manifest.json."""

from stq_deploy.codegen.generate import Generated, generate

__all__ = ["Generated", "generate"]
