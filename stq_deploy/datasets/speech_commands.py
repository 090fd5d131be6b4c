"""Google Speech Commands v0.02 (P. Warden, 2018; CC BY 4.0): the paper's twelve words as MFCC, parted in two ways.

`speech-commands` is split as in the paper: a third of each word is for testing, drawn from all clips. Both parts share
speakers. `speech-commands-official` is split by the publisher's lists, which keep speakers apart.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from stq_deploy.common.errors import StqError
from stq_deploy.datasets.checksum import sha256
from stq_deploy.datasets.dataset import Dataset
from stq_deploy.datasets.source import DataSource, PublicFile, SourceForm
from stq_deploy.datasets.speech_features import (
    TESTING,
    VALIDATION,
    SpeechFeatures,
    cached_features,
    compute_features,
)
from stq_deploy.datasets.speech_files import TESTING_LIST, VALIDATION_LIST, archive_files, folder_files
from stq_deploy.datasets.splits import per_class_third

AS_IN_PAPER, OFFICIAL = "speech-commands", "speech-commands-official"
WORDS = ("yes", "no", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# Size and digest: TensorFlow Datasets (url_checksums/speech_commands.txt); torchaudio states the same digest.
ARCHIVE = PublicFile(
    name="speech_commands_v0.02.tar.gz",
    address="http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    size=2_428_923_189,
    sha256="af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
)


def _read_archive(name: str, paths: tuple[Path, ...]) -> Dataset:
    (path,) = paths
    return _dataset(name, cached_features(sha256(path), archive_files(path, WORDS), str(path)), str(path))


def _read_folder(name: str, paths: tuple[Path, ...]) -> Dataset:
    folder = paths[0].parent
    return _dataset(name, compute_features(folder_files(folder, WORDS), str(folder)), str(folder))


def _dataset(name: str, features: SpeechFeatures, where: str) -> Dataset:
    words = features.words
    missing = [word for word in WORDS if not (words == word).any()]
    if missing:
        raise StqError(f"there is no clip of: {', '.join(missing)}", where=where, cause="a part of the data is missing")
    labels = np.array([WORDS.index(word) for word in words.tolist()], np.int64)
    x = features.x[..., np.newaxis]
    official = name == OFFICIAL
    test = features.part == TESTING if official else per_class_third(labels)
    return Dataset(
        name, where, WORDS, x[~test], labels[~test], x[test], labels[test],
        validation=np.flatnonzero(features.part[~test] == VALIDATION) if official else None,
    )  # fmt: skip


def _source(name: str) -> DataSource:
    return DataSource(
        name=name,
        title="Google Speech Commands v0.02",
        classes=WORDS,
        forms=(
            SourceForm((ARCHIVE.name,), partial(_read_archive, name)),
            SourceForm((VALIDATION_LIST, TESTING_LIST), partial(_read_folder, name)),
        ),
        public=(ARCHIVE,),
        shares_with=AS_IN_PAPER,
    )


SPEECH_COMMANDS = _source(AS_IN_PAPER)
SPEECH_COMMANDS_OFFICIAL = _source(OFFICIAL)
