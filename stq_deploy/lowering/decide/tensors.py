"""The walk down an expression to its tensors: asks what each part needs, in order, and records the decisions.

What is decided, and how, is in pure functions: `exact`, `rounding`, `operands`, `curve`, `rearrangement` and
`operation`. `Tensors` is the recursion between them, and their memory: a tensor that was decided once serves every
reader. A question has one answer, however often a caller asks it. Asking costs nothing, because the decisions leave out
a tensor that no output needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

from stq_deploy.frontend import source as s
from stq_deploy.lowering.decide.curve import CurvedValue, argument_of, curve, curved, with_line
from stq_deploy.lowering.decide.decision import Decision
from stq_deploy.lowering.decide.exact import kept, may_be_exact
from stq_deploy.lowering.decide.operands import (
    Operand,
    aligned_operand,
    check_operands,
    exact_operands,
    factor_operands,
    is_product,
    sum_step,
)
from stq_deploy.lowering.decide.operation import (
    UnrequantizedOp,
    accumulation,
    combination,
    common_fixed_step,
    rescaling,
)
from stq_deploy.lowering.decide.rearrangement import joined_levels, rearrange
from stq_deploy.lowering.decide.rounding import FEWEST_BITS, Rounding, bent, first_stages, rounded_once, rounding_step
from stq_deploy.lowering.errors import lowering_error
from stq_deploy.lowering.expression import (
    Accumulator,
    Combination,
    Ends,
    Expression,
    ExpressionCore,
    Rearrangement,
    RearrangingNode,
    TensorValue,
    real_bounds,
)
from stq_deploy.lowering.fixed_point import BITS
from stq_deploy.lowering.stages import Leaky


class Tensors:
    """The tensors decided so far. In the methods below, `reader` is the layer that needs the tensor, for errors.

    Attributes:
        decisions: all so far; each reads only outputs of earlier ones.
    """

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self._stored: dict[ExpressionCore, TensorValue] = {}
        self._fixed: dict[Rounding, TensorValue] = {}

    def add(self, decision: Decision) -> TensorValue:
        """Record a decision; returns its tensor."""
        self.decisions.append(decision)
        return decision.output

    # Exact integers

    def exact(self, term: Expression, reader: str) -> TensorValue | None:
        """The term as exact integers of one scale, or None."""
        if not may_be_exact(term):
            return None
        x = self.stored(term.core, reader)
        return x if x.uniform else None

    def stored(self, core: ExpressionCore, reader: str) -> TensorValue:
        """A tensor of the core's exact integers; one, however many layers read it."""
        if isinstance(core, TensorValue):
            return core
        if core not in self._stored:
            if isinstance(core, Rearrangement):
                self._stored[core] = self._rearranged(core, reader)
            else:
                self._stored[core] = self.add(kept(core, self.operation(core, (), reader)))
        return self._stored[core]

    def operation(self, core: ExpressionCore, sources: tuple[str, ...], reader: str) -> UnrequantizedOp:
        """The op whose accumulator is `core`, with its inputs decided; `sources` are the layers of what follows it."""
        if isinstance(core, TensorValue):
            return rescaling(core, sources[-1] if sources else reader, sources)
        if isinstance(core, Accumulator):
            return accumulation(core, sources)
        if isinstance(core, Combination):
            return combination(core, self._operands(core, reader), sources)
        raise TypeError("a rearrangement has no accumulator")

    def _operands(self, core: Combination, reader: str) -> tuple[TensorValue, TensorValue]:
        """Both terms as uniform tensors whose combination stays within 32 bits."""
        exact = [self.exact(term, reader) for term in core.terms]
        found = exact_operands(core, exact)
        if found is not None:
            return found
        if is_product(core):
            a, b = (self._operand(operand, reader) for operand in factor_operands(core, exact))
        else:
            a, b = (self._aligned(term, sum_step(core), reader) for term in core.terms)
        check_operands(core, (a, b))
        return a, b

    def _aligned(self, term: Expression, step: Fraction, reader: str) -> TensorValue:
        return self._operand(aligned_operand(term, self.exact(term, reader), step), reader)

    def _operand(self, operand: Operand, reader: str) -> TensorValue:
        return operand if isinstance(operand, TensorValue) else self.fixed(operand.value, operand.step, reader)

    # Rearrangements

    def rearranged(self, node: RearrangingNode, terms: Sequence[TensorValue], layer: str) -> TensorValue:
        """A rearrangement of tensors; `layer` is the Keras layer whose output it is, or ""."""
        if isinstance(node, s.ConcatenateNode) and joined_levels(terms) is None:
            step = common_fixed_step(tuple(Expression(x) for x in terms))
            terms = [self._aligned(Expression(x), step, node.layer) for x in terms]
        return self.add(rearrange(node, terms, layer))

    def _rearranged(self, core: Rearrangement, reader: str) -> TensorValue:
        terms = [self.tensor(term, reader) for term in core.terms]
        if not core.keeps_channels:
            terms = [x if x.uniform else self.tensor_of(Expression(x), BITS, reader) for x in terms]
        return self.rearranged(core.node, terms, core.layer if core.whole else "")

    # Fixed point

    def tensor(self, value: Expression, reader: str) -> TensorValue:
        """The value: exact integers where it has no stages, otherwise fixed-point numbers."""
        return self.tensor_of(value, BITS, reader) if value.stages else self.stored(value.core, reader)

    def tensor_of(self, value: Expression, bits: int, reader: str) -> TensorValue:
        """The value as fixed-point numbers below 2**bits."""
        return self.fixed(value, rounding_step(value, bits), reader)

    def rounded(self, value: Expression, bits: int, reader: str) -> TensorValue:
        """As `tensor_of`, for a layer that sums the numbers up.

        Raises:
            StqError: as `fixed`, or so few bits that the result would be a guess.
        """
        if bits < FEWEST_BITS:
            raise lowering_error(reader, "its sum can exceed 32 bits", "pool smaller windows")
        if isinstance(value.core, Rearrangement):  # a tensor has one range of levels, and its channels differ in scale
            value = replace(value, core=self.stored(value.core, reader))
        return self.tensor_of(value, bits, reader)

    def fixed(self, value: Expression, step: Fraction, reader: str) -> TensorValue:
        """The value as multiples of `step`, rounded, of 32 bits at most.

        Raises:
            StqError: the numbers are too large, or a curve has too many arguments.
        """
        asked = Rounding(value, step)
        if asked not in self._fixed:
            self._fixed[asked] = self._rounded(asked, reader)
        return self._fixed[asked]

    def _rounded(self, asked: Rounding, reader: str, bounds: Ends | None = None) -> TensorValue:
        """The rounded value; `bounds` are its exact ends where its core was rounded before."""
        value, step = asked.value, asked.step
        found = curved(value)
        if found is not None:
            return self._curved(found, step, reader)
        core = self.stored(value.core, reader) if isinstance(value.core, Rearrangement) else value.core
        stages, rest = first_stages(value.stages)
        if not rest:
            return self.add(rounded_once(self.operation(core, value.sources, reader), stages, step, reader, bounds))
        # Each op rounds. The first rounding has the most bits, because the stages after it may enlarge its error.
        fine = self.tensor_of(Expression(core, stages, value.sources), BITS, reader)
        begun: TensorValue | Combination = fine
        if isinstance(rest[0], Leaky):
            begun, rest = bent(fine, rest[0], value.sources[-1] if value.sources else reader), rest[1:]
        later = Rounding(Expression(begun, rest, value.sources), step)
        return self._rounded(later, reader, bounds or real_bounds(value))

    def _curved(self, value: CurvedValue, step: Fraction, reader: str) -> TensorValue:
        split = with_line(value, reader)
        if split is not None:
            return self.fixed(split, step, reader)
        argument = argument_of(value)
        if isinstance(argument.x, Rounding):
            x = self.fixed(argument.x.value, argument.x.step, reader)
        else:
            x = self.stored(argument.x, reader)
        smooth = self.add(curve(value, argument, x, step, reader))
        if not value.after:
            return smooth
        return self.fixed(Expression(smooth, value.after, value.argument.sources), step, reader)
