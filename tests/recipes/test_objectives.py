"""The losses against hand-computed values."""

import math

import pytest
import torch

from workbench.recipes.batches import IGNORE
from workbench.recipes.objectives import info_nce, readout_loss, text_loss


def test_info_nce_by_hand() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    documents = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    none = torch.zeros(2, 3, dtype=torch.bool)
    # Query 0: similarities 1, 0, 1 at temperature 0.5; query 1: 0, 1, 0.
    first = -math.log(math.exp(2) / (2 * math.exp(2) + 1))
    second = -math.log(math.exp(2) / (math.exp(2) + 2))
    loss = info_nce(queries, documents, torch.tensor([0, 1]), none, 0.5)
    assert loss.item() == pytest.approx((first + second) / 2, rel=1e-5)


def test_info_nce_leaves_copies_of_the_target_out() -> None:
    queries = torch.tensor([[1.0, 0.0]])
    documents = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    copy = torch.tensor([[False, False, True]])
    loss = info_nce(queries, documents, torch.tensor([0]), copy, 1.0)
    assert loss.item() == pytest.approx(-math.log(math.e / (math.e + 1)), rel=1e-5)


def test_text_loss_ignores_padding() -> None:
    logits = torch.tensor([[[2.0, 0.0], [0.0, 5.0], [9.0, 0.0]]])
    labels = torch.tensor([[0, 1, IGNORE]])
    expected = (math.log(1 + math.exp(-2)) + math.log(1 + math.exp(-5))) / 2
    assert text_loss(logits, labels).item() == pytest.approx(expected, rel=1e-5)


def test_readout_asks_each_think_token_for_its_own_part() -> None:
    # Two think tokens: the first is sure of word 0, the second of word 1.
    logits = torch.tensor([[[4.0, 0.0, 0.0], [0.0, 4.0, 0.0]]])
    labels = torch.tensor([[0, 1, IGNORE]])
    right = readout_loss(logits, labels, torch.tensor([[0, 1, 0]]))
    wrong = readout_loss(logits, labels, torch.tensor([[1, 0, 0]]))
    sure = -math.log(math.exp(4) / (math.exp(4) + 2))
    assert right.item() == pytest.approx(sure, rel=1e-5)
    assert wrong.item() == pytest.approx(sure + 4, rel=1e-5)
