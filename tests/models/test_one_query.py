"""One query by matrix products is what the fused kernel gives."""

import pytest
import torch

from workbench.models.one_query import attend_one, suits_one_query


@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (6, 2)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_it_is_scaled_dot_product_attention(heads: int, groups: int, masked: bool, scaling: float | None) -> None:
    drawn = torch.Generator().manual_seed(0)
    query = torch.randn(3, heads, 1, 8, generator=drawn)
    # Columns are a part of a larger room, as in a cache.
    key, value = (torch.randn(3, groups, 40, 8, generator=drawn)[:, :, :29] for _ in range(2))
    seen = torch.rand(3, 1, 1, 29, generator=drawn) < 0.6 if masked else None
    expected = torch.nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=scaling, enable_gqa=True
    )
    found = attend_one(query, key, value, seen, scaling)
    torch.testing.assert_close(found, expected.transpose(1, 2), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_shares_are_exact_in_a_low_precision(dtype: torch.dtype) -> None:
    """Over many columns, shares that are rounded before they are summed lose the mean of what is read."""
    drawn = torch.Generator().manual_seed(0)
    query, key = torch.zeros(1, 2, 1, 8, dtype=dtype), torch.randn(1, 1, 999, 8, generator=drawn).to(dtype)
    value = torch.ones_like(key)
    found = attend_one(query, key, value, torch.ones(1, 1, 1, 999, dtype=torch.bool), None)
    torch.testing.assert_close(found.float(), torch.ones(1, 1, 2, 8), rtol=4e-3, atol=0)


def test_it_is_for_one_query_on_a_cpu_without_gradient() -> None:
    query, key = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 30, 4)
    with torch.inference_mode():
        assert suits_one_query(query, key, None)
        assert not suits_one_query(torch.zeros(2, 2, 2, 4), key, None)
        assert not suits_one_query(query, key[:, :, :3], None)
        assert not suits_one_query(query.bfloat16(), key.bfloat16(), None)
    assert not suits_one_query(query, key, None)


def test_elsewhere_it_is_for_a_mask_over_groups() -> None:
    """`meta` stands for any device that is no CPU."""
    query, key = torch.zeros(2, 4, 1, 8, device="meta"), torch.zeros(2, 2, 30, 8, device="meta")
    seen = torch.ones(2, 1, 1, 30, dtype=torch.bool, device="meta")
    with torch.inference_mode():
        assert suits_one_query(query, key, seen)
        assert suits_one_query(query.bfloat16(), key.bfloat16(), seen)
        assert not suits_one_query(query, key, None)
        assert not suits_one_query(query[:, :2], key, seen)
        assert not suits_one_query(torch.zeros(2, 4, 2, 8, device="meta"), key, seen.expand(2, 1, 2, 30))
    assert not suits_one_query(query, key, seen)
