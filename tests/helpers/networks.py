"""Small random networks, built straight from ops: every op, requantization, weight width and type occurs.

They have branches, and now and then several outputs.

Shared by the tests of program, code generator, executors and emulator. Same seed, same network.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from stq_deploy.network import Network, TensorType
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import (
    Add,
    AveragePool,
    Concatenate,
    Convolve,
    Crop,
    Curve,
    Dense,
    DepthwiseConvolve,
    Maximum,
    MaxPool,
    Minimum,
    Multiply,
    Op,
    Pad,
    PairTable,
    Rescale,
    Reshape,
    Softmax,
    Table,
    Upsample,
    Window,
)
from stq_deploy.network.requantize import (
    KeepAccumulator,
    LongRequantize,
    MultiplierRequantize,
    Requantize,
    ShiftRequantize,
    TableRequantize,
    ThresholdRequantize,
    WideRequantize,
)
from stq_deploy.network.tensor import STORAGE_RANGE

Bounds = npt.NDArray[np.int64]
INT32_MAX = 2**31 - 1
LARGEST_TABLE = 3000
LARGEST_TENSOR = 3000
PROBES = 4
TYPES = ("int8", "int16", "int32")


def random_network(seed: int, layers: int = 9, input_dtype: str = "int8") -> Network:
    """A network of at most `layers` random layers and a dense one that gives the logits."""
    return _Builder(np.random.default_rng(seed)).build(layers, input_dtype)


def random_levels(network: Network, samples: int, seed: int = 0) -> npt.NDArray[np.int64]:
    """Input levels (samples, *input shape) over the input's range; the first two samples are its ends."""
    spec = network.input_type
    rng = np.random.default_rng(seed)
    levels = rng.integers(spec.minimum, spec.maximum + 1, (samples, *spec.shape))
    levels[0], levels[min(1, samples - 1)] = spec.minimum, spec.maximum
    return levels


def fits_int32(*values: int) -> bool:
    return all(-(2**31) <= value < 2**31 for value in values)


def divisors(number: int) -> list[int]:
    """Every divisor, 1 and the number itself among them."""
    return [d for d in range(1, number + 1) if number % d == 0]


class _Builder:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.tensors: dict[str, TensorType] = {}
        self.ops: list[Op] = []
        self.values: dict[str, npt.NDArray[np.int64]] = {}  # of a few samples, to notice layers that do nothing

    def build(self, layers: int, input_dtype: str) -> Network:
        shape = (self.integer(1, 12), self.integer(3, 12), self.integer(1, 6))
        image = self.tensors["image"] = self.activation(shape, input_dtype)
        self.values["image"] = self.rng.integers(image.minimum, image.maximum + 1, (PROBES, *shape))
        here = "image"
        for _ in range(layers):
            steps = self.steps(here)
            here = steps[self.integer(0, len(steps) - 1)](here) or here
        here = self.flatten(self.narrow(here)) or here
        logits = None
        here = self.narrow(self.dense(here) or here)
        while logits is None:
            logits = self.dense(here, logits=True)
        outputs = (logits, *self.some_tensors(), *self.probabilities(logits))
        return Network(
            self.tensors,
            tuple(self.ops),
            "image",
            outputs,
            Metadata.from_json({"made_by": "tests/helpers/networks.py"}),
        )

    def narrow(self, x: str) -> str:
        """`x`, if a layer with weights can read it; else `x` rescaled, or the latest tensor of its rank that it can."""
        candidates = [x, self.rescale(x)] if self.tensors[x].dtype == "int32" else [x]
        rank = len(self.tensors[x].shape)
        candidates += [name for name in reversed(self.tensors) if len(self.tensors[name].shape) == rank]
        return next(name for name in candidates if name and self.tensors[name].dtype != "int32")

    def some_tensors(self) -> tuple[str, ...]:
        """Now and then a few besides the logits, which are then outputs too: views and the input among them."""
        others = [name for name in self.tensors if name != self.ops[-1].output]
        count = self.choice((0, 0, 1, 2))
        return tuple(str(name) for name in self.rng.choice(others, min(count, len(others)), replace=False))

    def probabilities(self, logits: str) -> tuple[str, ...]:
        """A softmax or a curve of the logits or of another tensor, which is then an output too."""
        function, source = (
            (self.softmax, logits), (self.softmax, list(self.tensors)[-3]),
            (self.curve, logits), (self.curve, list(self.tensors)[-3]),
        )[len(self.ops) % 4]  # fmt: skip
        made = function(source)
        return (made,) if made else ()

    def steps(self, here: str) -> list[Callable[[str], str | None]]:
        t = self.tensors[here]
        image: list[Callable[[str], str | None]] = [self.max_pool, self.average_pool, self.pad, self.crop]
        image += [self.upsample]
        both: list[Callable[[str], str | None]] = [self.rescale, self.add, self.multiply, self.extreme]
        both += [self.concatenate]
        if t.dtype != "int32":
            image += 3 * [self.convolve, self.depthwise]
            both += 3 * [self.dense] if len(t.shape) == 1 else []
        if t.dtype == "int8":
            both += [self.table, self.pair_table]
        return (image if len(t.shape) == 3 else []) + both

    # Layers. Each returns the name of its output; None if the kind does not fit, or the output were constant.

    def convolve(self, x: str) -> str | None:
        return self.windowed(x, depthwise=False)

    def depthwise(self, x: str) -> str | None:
        return self.windowed(x, depthwise=True)

    def windowed(self, x: str, *, depthwise: bool) -> str | None:
        t = self.tensors[x]
        window = self.window(t, dilated=True)
        rows, columns = window.output_size(*t.shape[:2])
        groups = 1 if depthwise or self.integer(0, 2) else self.choice(divisors(t.channels))
        outputs = self.integer(1, 3) if depthwise else groups * self.choice((1, 2, 3, 4, 5, 8, 17))
        channels = t.channels * outputs if depthwise else outputs
        if rows < 1 or columns < 1 or rows * columns * channels > LARGEST_TENSOR:
            return None
        bits, weights = self.weights((*window.size, t.channels // groups, outputs))
        cls = DepthwiseConvolve if depthwise else Convolve
        return self.weighted(cls, x, (rows, columns, channels), weights=weights, weight_bits=bits, window=window)

    def dense(self, x: str, *, logits: bool = False) -> str | None:
        t = self.tensors[x]
        outputs = self.integer(2, 11)
        bits, weights = self.weights((t.shape[0], outputs))
        return self.weighted(Dense, x, (outputs,), logits=logits, weights=weights, weight_bits=bits)

    def max_pool(self, x: str) -> str | None:
        t = self.tensors[x]
        window = self.window(t, dilated=False)
        rows, columns = window.output_size(*t.shape[:2])
        if rows < 1 or columns < 1:
            return None
        return self.append(MaxPool, (x,), replace(t, shape=(rows, columns, t.channels)), window=window)

    def average_pool(self, x: str) -> str | None:
        t = self.tensors[x]
        window = self.window(t, dilated=False)
        rows, columns = window.output_size(*t.shape[:2])
        if rows < 1 or columns < 1:
            return None
        probe = AveragePool("", (x,), "", (), window=window, requantize=None)  # type: ignore[arg-type]
        if not fits_int32(probe.multiple(t), *probe.accumulator_range(t)):
            return None
        low, high = (np.full(t.channels, bound) for bound in probe.accumulator_range(t))
        output, requantize = self.requantize(low, high, (rows, columns, t.channels))
        return self.append(AveragePool, (x,), output, window=window, requantize=requantize)

    def pad(self, x: str) -> str | None:
        t = self.tensors[x]
        low, high = STORAGE_RANGE[t.dtype]
        before, after = ((self.integer(0, 2), self.integer(0, 2)) for _ in range(2))
        shape = (*(n + b + a for n, b, a in zip(t.shape[:2], before, after, strict=True)), t.channels)
        if not low <= t.zero_point <= high or np.prod(shape) > LARGEST_TENSOR:
            return None
        minimum, maximum = min(t.minimum, t.zero_point), max(t.maximum, t.zero_point)
        output = replace(t, shape=shape, minimum=minimum, maximum=maximum)
        return self.append(Pad, (x,), output, before=before, after=after)

    def crop(self, x: str) -> str | None:
        t = self.tensors[x]
        size = (self.integer(1, t.shape[0]), self.integer(1, t.shape[1]))
        before = tuple(self.integer(0, n - m) for n, m in zip(t.shape, size, strict=False))
        return self.append(Crop, (x,), replace(t, shape=(*size, t.channels)), before=before)

    def upsample(self, x: str) -> str | None:
        t = self.tensors[x]
        size = (self.integer(1, 2), self.integer(1, 3))
        shape = (t.shape[0] * size[0], t.shape[1] * size[1], t.channels)
        if np.prod(shape) > LARGEST_TENSOR:
            return None
        return self.append(Upsample, (x,), replace(t, shape=shape), size=size)

    def concatenate(self, x: str) -> str | None:
        """Concatenates tensors that equal `x` in shape except along one axis; half of the time such that levels are
        only copied.
        """
        t = self.tensors[x]
        axis = self.integer(0, len(t.shape) - 1)
        copies = self.choice((True, False))

        def fits(o: TensorType) -> bool:
            alike = [n for i, n in enumerate(o.shape) if i != axis] == [n for i, n in enumerate(t.shape) if i != axis]
            same_levels = (o.dtype, o.zero_point) == (t.dtype, t.zero_point)
            return len(o.shape) == len(t.shape) and alike and (same_levels or not copies)

        others = [name for name, o in self.tensors.items() if fits(o)]
        inputs = (x, *(self.choice(others) for _ in range(self.integer(1, 2))))
        types = [self.tensors[name] for name in inputs]
        shape = tuple(sum(o.shape[i] for o in types) if i == axis else n for i, n in enumerate(t.shape))
        factors = tuple(1 if copies else self.choice((1, 2, 3, 50)) for _ in inputs)
        zero_point = t.zero_point if copies else self.choice((-128, 0, 5))
        levels = [
            (end - o.zero_point) * factor + zero_point
            for o, factor in zip(types, factors, strict=True)
            for end in (o.minimum, o.maximum)
        ]
        terms = [level - zero_point for level in levels]
        if np.prod(shape) > LARGEST_TENSOR or not fits_int32(*levels, *terms):
            return None
        holding = [d for d, (low, high) in STORAGE_RANGE.items() if low <= min(levels) and max(levels) <= high]
        dtype = t.dtype if copies else self.choice(holding)
        output = TensorType(shape, dtype, min(levels), max(levels), 0.125, zero_point)
        return self.append(Concatenate, inputs, output, axis=axis, factors=factors)

    def table(self, x: str) -> str | None:
        output = self.activation(self.tensors[x].shape, "int8")
        table = self.rng.integers(output.minimum, output.maximum + 1, 256).astype(np.int8)
        return self.append(Table, (x,), output, table=table)

    def pair_table(self, x: str) -> str | None:
        y = self.partner(x, ("int8",))
        levels = tuple(self.tensors[n].maximum - self.tensors[n].minimum + 1 for n in (x, y))
        if levels[0] * levels[1] > PairTable.MAXIMUM_ENTRIES:
            return None
        output = self.activation(self.tensors[x].shape, "int8")
        table = self.rng.integers(output.minimum, output.maximum + 1, levels).astype(np.int8)
        return self.append(PairTable, (x, y), output, table=table)

    def curve(self, x: str) -> str | None:
        t = self.tensors[x]
        span = t.maximum - t.minimum
        shift = min(20, self.integer(0, max(1, span.bit_length() - 2)))
        entries = 1 + min(200, span >> shift)
        base = t.minimum + self.integer(0, span >> 2)
        output = self.activation(t.shape, "int16")
        table = np.sort(self.rng.integers(output.minimum, output.maximum + 1, entries)).astype(np.int32)
        return self.append(Curve, (x,), output, table=table, base=base, shift=shift)

    def softmax(self, x: str) -> str | None:
        t = self.tensors[x]
        steps = min(3000, 1 + (t.maximum - t.minimum) // 3)
        table = np.rint(Softmax.UNIT * np.exp(-np.arange(steps) * 12 / steps)).astype(np.int32)
        return self.append(Softmax, (x,), TensorType(t.shape, "int16", 0, 32767, 2**-15), table=table)

    def rescale(self, x: str) -> str | None:
        return self.elementwise(Rescale, (x,))

    def add(self, x: str) -> str | None:
        return self.elementwise(Add, (x, self.partner(x, TYPES)), factors=self.factors())

    def extreme(self, x: str) -> str | None:
        cls = self.choice((Maximum, Minimum))
        return self.elementwise(cls, (x, self.partner(x, TYPES)), factors=self.factors())

    def multiply(self, x: str) -> str | None:
        return self.elementwise(Multiply, (x, self.partner(x, TYPES)))

    def elementwise(self, cls: type[Any], inputs: tuple[str, ...], **attributes: Any) -> str | None:
        types = [self.tensors[n] for n in inputs]
        probe = cls("", inputs, "", (), requantize=None, **attributes)
        terms = [(end - t.zero_point) * f for t in types for end in (t.minimum, t.maximum) for f in (1, -3, 7)]
        if not fits_int32(*terms, *probe.accumulator_range(types)):
            return None
        low, high = (np.full(types[0].channels, bound) for bound in probe.accumulator_range(types))
        output, requantize = self.requantize(low, high, types[0].shape)
        return self.append(cls, inputs, output, requantize=requantize, **attributes)

    def flatten(self, x: str) -> str | None:
        t = self.tensors[x]
        if len(t.shape) == 1:
            return x
        return self.append(Reshape, (x,), replace(t, shape=(t.elements,)))

    def weighted(
        self, cls: type[Any], x: str, shape: tuple[int, ...], *, logits: bool = False, **attributes: Any
    ) -> str | None:
        probe = cls("", (x,), "", (), requantize=None, **attributes)
        low, high = probe.accumulator_range(self.tensors[x])
        if not fits_int32(int(low.min()), int(high.max())):
            return None
        output, requantize = self.requantize(low, high, shape, logits=logits)
        return self.append(cls, (x,), output, requantize=requantize, **attributes)

    def append(self, cls: type[Any], inputs: tuple[str, ...], output: TensorType, **attributes: Any) -> str | None:
        name = f"{cls.kind}_{len(self.ops)}"
        op = cls(name, inputs, name, (f"source of {name}",), **attributes)
        types = [self.tensors[n] for n in inputs]
        value = op.run([self.values[n] for n in inputs], types, output)
        if (value == value[:1]).all():
            return None
        self.tensors[name], self.values[name] = output, value
        self.ops.append(op)
        return name

    # Attributes.

    def factors(self) -> tuple[int, int]:
        return self.choice((1, 2, 5, -3)), self.choice((1, 4, 7))

    def partner(self, x: str, dtypes: tuple[str, ...]) -> str:
        """A tensor of the shape of `x`, possibly `x` itself."""
        shape = self.tensors[x].shape
        return self.choice([n for n, t in self.tensors.items() if t.shape == shape and t.dtype in dtypes])

    def window(self, t: TensorType, *, dilated: bool) -> Window:
        size, stride = (self.integer(1, 4), self.integer(1, 4)), (self.integer(1, 2), self.integer(1, 3))
        dilation = self.choice(((1, 1), (1, 1), (2, 1), (1, 3))) if dilated else (1, 1)
        if self.choice((True, False)):
            before, after = Window.same_padding(t.shape[:2], size, stride, dilation)
        else:
            before = (self.integer(0, size[0] - 1), self.integer(0, size[1] - 1))
            after = (self.integer(0, size[0] - 1), self.integer(0, size[1] - 1))
        return Window(size, stride, dilation, before, after)

    def weights(self, shape: tuple[int, ...]) -> tuple[int, npt.NDArray[Any]]:
        bits, low = self.choice(((1, -1), (1, 0), (2, -1), (2, -2), (4, -8), (8, -128), (16, 0)))
        if bits == 1:
            return bits, self.rng.choice(np.array([low, 1], np.int8), shape)
        if bits == 16:  # powers of two, as quantized_po2 gives
            powers = np.left_shift(1, self.rng.integers(0, 15, shape))
            return bits, (self.rng.integers(-1, 2, shape) * powers).astype(np.int16)
        return bits, self.rng.integers(low, 2 ** (bits - 1), shape).astype(np.int8)

    def activation(self, shape: tuple[int, ...], dtype: str) -> TensorType:
        if dtype == "int8":
            low, high, zero = self.choice(((-128, 127, -128), (-128, 127, 3), (0, 15, 0), (-4, 3, 0), (0, 1, 0)))
        elif dtype == "int32":
            low, high, zero = self.choice(((-(2**31), 2**31 - 1, 0), (-90_000, 70_000, 5), (0, 2**24, 0)))
        else:
            low, high, zero = self.choice(((-2000, 2000, 0), (0, 255, 0), (-32768, 32767, 0), (-100, 900, -100)))
        return TensorType(shape, dtype, low, high, 0.125, zero)

    def requantize(
        self, low: Bounds, high: Bounds, shape: tuple[int, ...], *, logits: bool = False
    ) -> tuple[TensorType, Requantize]:
        """A random output type of `shape`, and a requantization of accumulators in [low, high] to it."""
        least, most = int(low.min()), int(high.max())
        multiplied = (
            ["multiplier16", "wide32"] if logits else ["multiplier8", "multiplier16", "wide8", "wide16", "wide32"]
        )
        forms = multiplied + ([] if logits else ["shift", "threshold"])
        if max(abs(least), abs(most)) > 2**29:
            forms = [form for form in forms if form != "shift"]  # an offset and a step more must fit int32
        if not logits and most - least < LARGEST_TABLE:
            forms.append("table")
        if logits or max(abs(least), abs(most)) < 2**24:
            forms.append("keep")
        form = self.choice(forms)
        if form == "keep":
            holding = [d for d, (bottom, top) in STORAGE_RANGE.items() if bottom <= least and most <= top]
            keep = KeepAccumulator(len(low), least, most)
            return TensorType(shape, "int32" if logits else holding[0], least, most, 0.5), keep
        bits = form.removeprefix("multiplier").removeprefix("wide") if form in multiplied else "8"
        output = self.activation(shape, f"int{bits}")
        if form == "shift":
            return output, self.shift(low, high, output)
        if form == "threshold":
            return self.thresholds(low, high, output)
        if form == "table":
            rows = self.choice((1, len(low)))
            table = self.rng.integers(output.minimum, output.maximum + 1, (rows, most - least + 1)).astype(np.int8)
            return output, TableRequantize(table, least, len(low))
        narrow = self.multiplier(low, high, output) if form.startswith("multiplier") else None
        if narrow is not None and narrow.overflow_free(low, high):
            return output, narrow
        return output, self.wide(low, high, output)

    def thresholds(self, low: Bounds, high: Bounds, output: TensorType) -> tuple[TensorType, Requantize]:
        count = output.maximum - output.minimum
        sign = self.rng.choice(np.array([-1, 1], np.int8), len(low))
        # Most accumulators lie near the middle of their range, so most thresholds do.
        middle, spread = (low + high) // 2 * sign, (high - low) // 8 + 1
        between = np.rint(middle[:, None] + spread[:, None] * self.rng.normal(size=(len(low), count)))
        between = np.clip(between, -INT32_MAX, INT32_MAX)
        unreached = self.rng.random(between.shape) < 0.1
        thresholds = np.sort(np.where(unreached, INT32_MAX, between), axis=1).astype(np.int32)
        return output, ThresholdRequantize(thresholds, sign, output.minimum)

    def shift(self, low: Bounds, high: Bounds, output: TensorType) -> Requantize:
        """Shifts of different channels, small enough that ties occur and large enough that levels differ."""
        largest = int(max(np.abs(low).max(), np.abs(high).max(), 1))
        shift = self.rng.integers(0, min(largest.bit_length(), 28) + 1, len(low)).astype(np.int8)
        offset = self.rng.integers(-min(largest, 2**20), min(largest, 2**20) + 1, len(low)).astype(np.int32)
        zero_point = int(self.rng.integers(-20, 21))
        return ShiftRequantize(offset, shift, zero_point, output.minimum, output.maximum)

    def multiplier(self, low: Bounds, high: Bounds, output: TensorType) -> MultiplierRequantize:
        """One that brings most accumulators within the output's range; large ones may overflow it."""
        largest = int(max(np.abs(low).max(), np.abs(high).max(), 1))
        left = max(0, 30 - largest.bit_length()) if self.choice((True, False)) else 0
        multiplier = self.rng.choice([-1, 1], len(low)) * self.rng.integers(2**29, 2**31, len(low))
        span = (largest << left) >> 1  # |(acc << left) * multiplier >> 32|, at most
        right = max(0, span.bit_length() - (output.maximum - output.minimum).bit_length() - self.integer(1, 2))
        scaled_middle = (((low + high) // 2 << left) * multiplier) >> 32
        offset = ((output.minimum + output.maximum) // 2 << right) - scaled_middle + self.integer(-3, 3)
        return MultiplierRequantize(
            multiplier.astype(np.int32), offset.astype(np.int32), left, right, output.minimum, output.maximum
        )

    def wide(self, low: Bounds, high: Bounds, output: TensorType) -> Requantize:
        """One that brings most accumulators within the output's range, each channel by a shift of its own."""
        multiplier = self.rng.choice([-1, 1], len(low)) * self.rng.integers(2**29, 2**31, len(low))
        span = np.maximum(np.abs(low), np.abs(high)).max() * np.abs(multiplier)
        steps = max(1, output.maximum - output.minimum)
        shift = np.array([max(0, int(s // steps).bit_length() - self.integer(1, 2)) for s in span], np.int8)
        middle = (output.minimum + output.maximum) // 2
        offset = (middle << shift.astype(np.int64)) - (low + high) // 2 * multiplier + self.integer(-3, 3)
        ends = output.minimum, output.maximum
        r: WideRequantize | LongRequantize = WideRequantize(multiplier.astype(np.int32), offset, shift, *ends)
        if multiplier[0] % 2:  # every other one
            more = np.random.default_rng(abs(int(multiplier[0])))
            fraction = more.integers(-(2**31), 2**31, len(low)).astype(np.int32)
            lowest, highest = np.sort(more.integers(*ends, (2, len(low)), endpoint=True), axis=0).astype(np.int32)
            lowest[::2], highest[::2] = ends
            r = LongRequantize(r.multiplier, fraction, offset, shift, lowest, highest)
        assert r.overflow_free(low, high)
        return r

    def integer(self, low: int, high: int) -> int:
        """Uniform in low..high."""
        return int(self.rng.integers(low, high + 1))

    def choice(self, options: Any) -> Any:
        """One of a sequence."""
        return options[self.integer(0, len(options) - 1)]
