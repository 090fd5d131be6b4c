"""Random windows of convolutions, as a strategy of Hypothesis."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.helpers.kernels.weighted_cases import WindowCase


@st.composite
def windows(draw: st.DrawFn, most_dilation: int, most_size: int) -> WindowCase:
    """Window, stride, padding, dilation and an image of one channel that the padded window fits.

    Args:
        most_size: of the image, vertical or horizontal, unless the window itself needs more.
    """

    def pair(low: int, high: int) -> tuple[int, int]:
        return draw(st.integers(low, high)), draw(st.integers(low, high))

    kernel, dilation, stride = pair(1, 4), pair(1, most_dilation), pair(1, 3)
    pad, pad_after = ((draw(st.integers(0, kernel[0] - 1)), draw(st.integers(0, kernel[1] - 1))) for _ in range(2))
    reach = [(kernel[i] - 1) * dilation[i] + 1 for i in range(2)]
    height, width = (draw(st.integers(max(1, reach[i] - pad[i] - pad_after[i]), most_size)) for i in range(2))
    return WindowCase(height, width, 1, 1, kernel, stride, pad, pad_after, dilation)
