"""Certificates as a network's metadata hold them: as JSON, and untrusted."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from stq_deploy.network import Network, TensorType
from stq_deploy.network.certificate import Certificate
from stq_deploy.network.metadata import Metadata
from stq_deploy.network.ops import Dense
from stq_deploy.network.requantize import KeepAccumulator
from stq_deploy.network.summary import op_rows


def network(stated: Any) -> Network:
    tensors = {"x": TensorType((4,), "int8", 0, 1, 1.0), "fc": TensorType((2,), "int32", -4, 4, 1.0)}
    op = Dense("fc", ("x",), "fc", (), np.ones((4, 2), np.int8), 2, KeepAccumulator(2, -4, 4))
    return Network(tensors, (op,), "x", ("fc",), Metadata.from_json({"certificates": stated}))


def certificates(stated: Any) -> dict[str, Certificate]:
    return dict(network(stated).metadata.certificates or {})


@pytest.mark.parametrize(
    "certificate",
    [
        Certificate("keep", True, channels=2),
        Certificate("multiplier", False, 3, None, 10, 10, None, 0.25, False),
        Certificate("multiplier", True, 3, None, 10, 8, 0, None, None, 0.5),
        Certificate("curve", False, entries=4, largest_error=1),
    ],
)
def test_a_certificate_comes_back_from_json(certificate: Certificate) -> None:
    stated = json.loads(json.dumps(certificate.to_json()))
    assert certificates({"fc": stated}) == {"fc": certificate}
    (row,) = op_rows(network({"fc": stated}))
    assert row.certificate == certificate
    assert row.to_json()["certificate"] == stated
    assert list(stated) == [f.name for f in dataclasses.fields(Certificate) if f.name in stated]


@pytest.mark.parametrize(
    "stated",
    [
        None, [], "x", {"fc": None}, {"fc": []}, {"fc": {}}, {"fc": {"kind": "keep"}}, {"fc": {"exact": True}},
        {"fc": {"kind": 1, "exact": True}}, {"fc": {"kind": "keep", "exact": 1}},
        {"fc": {"kind": "keep", "exact": True, "channels": "2"}},
        {"fc": {"kind": "keep", "exact": True, "channels": True}},
        {"fc": {"kind": "wide", "exact": False, "largest_error": "0.5"}},
        {"fc": {"kind": "wide", "exact": False, "largest_error": True}},
        {"fc": {"kind": "wide", "exact": False, "channels": 2.5}},
    ],
)  # fmt: skip
def test_what_is_malformed_is_left_out(stated: Any) -> None:
    assert certificates(stated) == {}
    (row,) = op_rows(network(stated))
    assert (row.certificate, row.largest_error) == (None, None)
    assert row.to_json()["certificate"] == {}


def test_facts_of_a_later_version_are_ignored() -> None:
    stated = {"fc": {"kind": "keep", "exact": True, "more": {}}}
    assert certificates(stated) == {"fc": Certificate("keep", True)}
