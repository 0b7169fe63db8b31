import numpy as np
import pytest
from captum.attr import InputXGradient as Captum
from toy_objective import ToyObjective, polynomials

from probes.input_x_gradient import InputXGradient


@pytest.mark.parametrize("level", ["tokens", "pixels"])
def test_a_linear_target_is_shared_out_exactly(level) -> None:
    objective = ToyObjective(polynomials(), level=level)
    found = InputXGradient(level=level).attribute(objective)
    np.testing.assert_allclose(
        found.relevance[0], polynomials()[0].linear * objective.scores(objective.features), rtol=1e-4, atol=1e-5
    )


def test_equals_captum_for_every_target() -> None:
    objective = ToyObjective(polynomials(), level="pixels")
    found = InputXGradient(level="pixels").attribute(objective)
    for target in range(2):
        product = Captum(objective).attribute(objective.features[None].requires_grad_(), target=target)
        np.testing.assert_allclose(
            found.relevance[target], objective.gather(product[0].sum(-1)).detach().numpy(), atol=1e-5
        )
