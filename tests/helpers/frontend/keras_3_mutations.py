"""Damages files of Keras 3: as `mutations` does, and in the forms that only Keras 3 writes."""

from __future__ import annotations

import copy
import json
import random
from typing import Any

from tests.helpers.frontend.mutations import PAYLOAD_MODULE, mutate_configuration
from tests.helpers.frontend.mutations import mutate as mutate_any

_POLICIES = ("DTypePolicy", "FloatDTypePolicy", "QuantizedDTypePolicy", "Policy", "ternary", None, [], {})
_CLASSES = ("Relu", "Add", "GetItem", "Functional", "Sequential", "qkeras>QDense", "qkeras>", "QDense", "Dense", [], 7)
_MODULES = (
    "keras.src.ops.numpy",
    "keras.src.ops.nn",
    "hgq.layers",
    "qkeras.qlayers",
    "keras",
    PAYLOAD_MODULE,
    None,
    [],
)
_MAXIMUM_VALUES = 1 << 14
"""Values of a tree that is still changed: lists of 300 copies, in each other, soon fill the memory."""
_PLACES = (-1, 0, 0, 1, 2, 2**63, "x", None, [], {}, True)


def mutate(seeds: list[bytes], state: random.Random) -> tuple[str, bytes]:
    """(name of the kind, a mutated file) from one of the seeds."""
    if state.random() < 0.6:
        return mutate_any(seeds, state)
    return "keras 3", mutate_configuration(state.choice(seeds), lambda config: _twist(config, state))


def _twist(config: Any, state: random.Random) -> None:
    for _ in range(state.choice((1, 1, 2, 5))):
        objects = _objects(config)
        if objects is None:
            return
        state.choice((_call, _call, _history, _policy, _class, _outputs))(objects, config, state)


def _objects(tree: Any) -> list[dict[str, Any]] | None:
    """The objects in a tree; None if it is too large to be changed further."""
    waiting, found, seen = [tree], [], 0
    while waiting:
        seen += 1
        if seen > _MAXIMUM_VALUES:
            return None
        value = waiting.pop()
        if isinstance(value, dict):
            found.append(value)
        waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found


def _call(objects: list[dict[str, Any]], config: Any, state: random.Random) -> None:
    calls = [found for found in objects if "args" in found]
    if not calls:
        return
    call, other = state.choice(calls), state.choice(calls)
    step = state.randrange(6)
    if step == 0:
        call["args"] = copy.deepcopy(other.get("args"))
    elif step == 1:
        call["args"] = [call["args"]] * state.choice((0, 1, 2, 300))
    elif step == 2:
        call["kwargs"] = state.choice((None, [], {"training": True}, {"mask": 7}, {"x": copy.deepcopy(other)}))
    elif step == 3:
        call["args"] = [*call["args"], state.choice((None, 1.0, "x", [], {}, [[]], [None], {"class_name": []}))]
    elif step == 4:
        call.pop(state.choice(sorted(call)))
    else:
        call["args"] = state.choice(_PLACES)


def _history(objects: list[dict[str, Any]], config: Any, state: random.Random) -> None:
    tensors = [found for found in objects if "keras_history" in found]
    if not tensors:
        return
    tensor = state.choice(tensors)
    if state.random() < 0.3:
        tensor["keras_history"] = copy.deepcopy(state.choice(tensors)["keras_history"])
    elif isinstance(tensor["keras_history"], list) and len(tensor["keras_history"]) == 3:
        tensor["keras_history"][state.randrange(3)] = state.choice(_PLACES)


def _policy(objects: list[dict[str, Any]], config: Any, state: random.Random) -> None:
    settings = [found for found in objects if "dtype" in found]
    if settings:
        policy = {
            "class_name": state.choice(_POLICIES),
            "module": state.choice(_MODULES),
            "config": state.choice(({"name": "float32"}, {"mode": "int8", "source_name": "float32"}, {"name": []}, [])),
        }
        state.choice(settings)["dtype"] = state.choice((policy, "mixed_float16", "int8_from_float32", None, 7, {}))


def _class(objects: list[dict[str, Any]], config: Any, state: random.Random) -> None:
    named = [found for found in objects if "class_name" in found]
    if named:
        entry = state.choice(named)
        entry[state.choice(("class_name", "registered_name"))] = state.choice(_CLASSES)
        if state.random() < 0.5:
            entry["module"] = state.choice(_MODULES)


def _outputs(objects: list[dict[str, Any]], config: Any, state: random.Random) -> None:
    models = [found for found in objects if "output_layers" in found]
    if models:
        model, key = state.choice(models), state.choice(("output_layers", "input_layers"))
        model[key] = state.choice(
            (copy.deepcopy(state.choice(models).get(key)), {"x": model.get(key)}, [model.get(key)] * 2, None, [], [[]],
             [["x", 0, 0]] * 300, [[[], 0, 0]], json.loads("[" * 50 + "]" * 50))
        )  # fmt: skip
