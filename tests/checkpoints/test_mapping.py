"""Names and layouts of parameters: the table is reversible, and names what transformers names."""

import dataclasses

import numpy as np
import pytest

from checkpoints.folder import read_config
from checkpoints.mapping import (
    expected_shapes,
    names,
    their_shape,
    to_ours,
    to_theirs,
)
from checkpoints.network import shapes_of
from encoders.config_checks import HEADS
from encoders.heads import SentenceClassifier
from tests.checkpoints.golden_folders import GOLDEN, NAMES, theirs_of


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_has_one_name_on_either_side(name: str, head: str) -> None:
    config = dataclasses.replace(read_config(GOLDEN / name), classifier_head=head)
    table = list(names(config))
    assert len({row.ours for row in table}) == len({row.theirs for row in table}) == len(table)
    assert set(shapes_of(SentenceClassifier(config))) <= {row.ours for row in table}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("head", HEADS)
def test_shapes_are_known_before_a_network_is_built(name: str, head: str) -> None:
    config = dataclasses.replace(read_config(GOLDEN / name), classifier_head=head)
    shapes = shapes_of(SentenceClassifier(config))
    assert expected_shapes(config) == shapes


@pytest.mark.parametrize("name", NAMES)
def test_their_names_are_those_of_the_file(name: str) -> None:
    config = read_config(GOLDEN / name)
    ours = shapes_of(SentenceClassifier(config))
    assert {row.theirs for row in names(config) if row.ours in ours} == set(theirs_of(GOLDEN / name))


@pytest.mark.parametrize("name", NAMES)
def test_every_layout_is_reversible(name: str) -> None:
    config = read_config(GOLDEN / name)
    shapes = shapes_of(SentenceClassifier(config))
    for row in names(config):
        if row.ours in shapes:
            theirs = theirs_of(GOLDEN / name)[row.theirs]
            ours = to_ours(theirs, row.layout)
            assert their_shape(ours.shape, row.layout) == theirs.shape
            assert ours.shape == shapes[row.ours]
            again = to_theirs(ours, row.layout)
            assert (again.shape, again.tobytes()) == (theirs.shape, theirs.tobytes())
            assert ours.flags.c_contiguous
            assert again.flags.c_contiguous


def test_layouts_by_hand() -> None:
    square = np.array([[1, 2, 3], [4, 5, 6]])
    assert to_ours(square, "same").tolist() == square.tolist()
    assert to_ours(square, "transposed").tolist() == [[1, 4], [2, 5], [3, 6]]
    # Two channels of three taps, (C, 1, K) → (K, C).
    assert to_ours(square[:, None, :], "depthwise").tolist() == [[1, 4], [2, 5], [3, 6]]
    # Two outputs of three inputs, (out, in, 1) → (in, out).
    assert to_ours(square[:, :, None], "pointwise").tolist() == [[1, 4], [2, 5], [3, 6]]
    assert to_ours(np.array([[7], [8]]), "column").tolist() == [7, 8]
    # A single channel and a single tap stay what they are.
    assert to_ours(np.ones((1, 1, 5)), "depthwise").shape == (5, 1)
    assert to_ours(np.ones((5, 1, 1)), "depthwise").shape == (1, 5)
    assert to_theirs(np.ones((1, 5)), "pointwise").shape == (5, 1, 1)
