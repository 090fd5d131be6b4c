"""Lowering decides first and emits second: decisions can be read, repeat, and cost nothing where nobody needs them."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from stq_deploy.frontend import source as s
from stq_deploy.lowering import lower
from stq_deploy.lowering.decide import Decisions, ValueForm, decide
from stq_deploy.lowering.decide.decision import needed
from stq_deploy.lowering.decide.tensors import Tensors
from stq_deploy.lowering.emit import emit
from stq_deploy.lowering.expression import Expression, TensorValue
from stq_deploy.network import TensorType
from tests.helpers.lowering.source_draft import BITS, Draft

ONE = Fraction(1)


def gated() -> s.SourceGraph:
    """A residual block with a gate and a leaky branch: most forms occur."""
    draft = Draft()
    conv = draft.norm(draft.conv(draft.x, 2))
    leaky = draft.add(s.LeakyNode, conv, slope=Fraction(3, 10))
    gate = draft.add(s.FunctionNode, draft.conv(draft.x, 2), function="sigmoid")
    block = draft.quantize(draft.add(s.AddNode, draft.add(s.MultiplyNode, leaky, gate), draft.x), BITS)
    pooled = draft.pool(draft.quantize(draft.add(s.AddNode, block, draft.x), BITS))
    return draft.graph(draft.norm(draft.dense(draft.flat(pooled))))


def small() -> s.SourceGraph:
    """A residual sum of a convolution and the input, and logits."""
    draft = Draft()
    total = draft.quantize(draft.add(s.AddNode, draft.conv(draft.x, 2), draft.x), BITS)
    return draft.graph(draft.dense(draft.flat(total)))


def test_decisions_print_as_a_table() -> None:
    assert str(decide(small())).splitlines() == [
        "tensor      form        op        of                 shape  type   levels       step      certificate",
        "image       input                                    4x3x2  int8   0..15        0.25",
        "convolve_2  exact       convolve  image              4x3x2  int8   -15..15      0.0625    keep, exact",
        "add_3       quantized   add       convolve_2, image  4x3x2  int8   -15..75      0.0625    multiplier, exact",
        "reshape_5   rearranged  reshape   add_3              24     int8   -15..75      0.0625",
        "dense_6     logits      dense     reshape_5          3      int32  -4575..4500  0.015625  keep, exact",
    ]


def test_the_page_shows_this_table() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "DESIGN.md"
    assert f"```\n{decide(small())}\n```\n" in page.read_text()


def test_names_from_a_model_file_are_made_printable() -> None:
    graph = small()
    renamed = s.AddNode("\x1b[2J", graph.nodes[3].inputs, graph.nodes[3].shape)
    table = str(decide(s.SourceGraph(
        (*graph.nodes[:3], renamed, *graph.nodes[4:]), graph.outputs, graph.kernels, graph.biases, "x", graph.file
    )))  # fmt: skip
    assert "[2J" in table
    assert "\x1b" not in table


def test_every_form_occurs() -> None:
    forms = {step.form for step in decide(gated()).steps}
    draft = Draft()
    softmax = draft.add(s.SoftmaxNode, draft.dense(draft.flat(draft.x)))
    forms |= {step.form for step in decide(draft.graph(draft.dense(softmax))).steps}
    draft = Draft()
    forms |= {
        step.form
        for step in decide(
            draft.graph(draft.quantize(draft.add(s.ClipNode, draft.x, low=ONE, high=ONE * 3), BITS))
        ).steps
    }
    assert forms == set(ValueForm)


def test_a_decision_reads_only_earlier_ones_and_is_needed() -> None:
    decisions = decide(gated())
    known = {decisions.input.output}
    for step in decisions.steps:
        assert known.issuperset(step.inputs)
        known.add(step.output)
    read = {x for step in decisions.steps for x in step.inputs} | set(decisions.outputs)
    assert read == known


def test_deciding_and_emitting_twice_give_the_same() -> None:
    graph = gated()
    first, second = decide(graph), decide(graph)
    assert str(first) == str(second)
    assert emit(first) == emit(first) == emit(second) == lower(graph)


def test_emitting_adds_and_leaves_out_nothing() -> None:
    decisions = decide(gated())
    network = emit(decisions)
    assert [(op.name, op.kind, op.sources) for op in network.ops] == [
        (decisions.names[step.output], step.op.kind, step.sources) for step in decisions.steps
    ]
    assert network.metadata.certificates == {
        decisions.names[step.output]: step.certificate for step in decisions.steps if step.certificate
    }


@pytest.mark.parametrize("kind", [s.AddNode, s.MultiplyNode, s.MaximumNode])
def test_a_rounded_operand_is_computed_once(kind: type[s.Node]) -> None:
    """A steep leaky ReLU of sums is the smaller of two rounded copies of them. Asking for one again makes no third."""
    draft = Draft()
    leaky = draft.add(s.LeakyNode, draft.conv(draft.x, 2), slope=Fraction(5, 2))
    network = lower(draft.graph(draft.quantize(draft.add(kind, leaky, draft.x), BITS)))
    read = [name for op in network.ops for name in op.inputs] + list(network.outputs)
    assert {op.output for op in network.ops} <= set(read)
    assert [op.kind for op in network.ops].count("rescale") == 2


def test_a_question_without_use_costs_nothing() -> None:
    tensors = Tensors()
    x = TensorValue(TensorType((2,), "int8", -8, 7, 1.0), (ONE,))
    asked = tensors.fixed(Expression(x), Fraction(1, 8), "unused")
    used = tensors.fixed(Expression(x), Fraction(1, 4), "used")
    assert len(tensors.decisions) == 2
    assert [step.output for step in needed(tensors.decisions, [used])] == [used]
    assert needed(tensors.decisions, [x]) == ()
    assert asked is not used


def test_decisions_hold_no_names_that_two_tensors_share() -> None:
    decisions: Decisions = decide(gated())
    assert len(set(decisions.names.values())) == len(decisions.names) == len(decisions.steps) + 1
