"""Twelve words of Google Speech Commands v0.01 (P. Warden, 2017; CC BY 4.0) as MFCC: *not* the paper's twelve.

It replaces `speech-commands` where its archive of 2.4 GB is not available. It has 10,155 clips of zero, one, five,
eight, down, go, left, right, up, bed, cat and happy. Each of the last three occurs about three times as often as each
of the others. No speaker is in two parts.
"""

from __future__ import annotations

from stq_deploy.datasets.source import DataSource

WORDS = ("zero", "one", "five", "eight", "down", "go", "left", "right", "up", "bed", "cat", "happy")

SPEECH_OTHER_WORDS = DataSource(
    name="speech-commands-other-words",
    title="Speech Commands (other words than the paper's)",
    classes=WORDS,
    prepared=("gsc12_mfcc.npz",),
    advice="no public file has these features ready: docs/DATA.md says what gsc12_mfcc.npz holds and how it came about",
)
