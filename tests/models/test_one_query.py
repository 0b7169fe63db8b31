"""One query by matrix products is what the fused kernel gives."""

import pytest
import torch

from workbench.models.one_query import AttendOne, attend_one, suits_one_query


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
    if seen is not None:
        assert torch.equal(AttendOne(seen).attend(torch.nn.Identity(), query, key, value, scaling), found)


def test_it_is_for_one_query_on_a_cpu_without_gradient() -> None:
    query, key = torch.zeros(2, 2, 1, 4), torch.zeros(2, 2, 30, 4)
    with torch.inference_mode():
        assert suits_one_query(query, key)
        assert not suits_one_query(torch.zeros(2, 2, 2, 4), key)
        assert not suits_one_query(query, key[:, :, :3])
        assert not suits_one_query(query.bfloat16(), key.bfloat16())
    assert not suits_one_query(query, key)
