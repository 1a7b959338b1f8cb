"""NIRNet's difference-aware loss against NumPy."""

import numpy as np
import pytest
import torch

from vestige.errors import ConfigError
from vestige.methods.nirnet.difference import DifferenceLoss

torch.set_num_threads(1)


def adding(latent_channels: int = 1, factor: int = 2) -> DifferenceLoss:
    """A loss whose MLP adds up the red pixels of a cell, for each latent channel."""
    loss = DifferenceLoss(latent_channels, factor, hidden=2)
    first, _, last = loss.mlp
    with torch.no_grad():
        first.weight.zero_()
        first.weight[0, : factor**2], first.weight[1, : factor**2] = 1, -1  # both halves of ReLU
        first.bias.zero_()
        last.weight[:, 0], last.weight[:, 1] = 1, -1
        last.bias.zero_()
    return loss


def test_two_pictures_by_hand() -> None:
    loss = adding()
    imprints = torch.zeros(2, 3, 2, 4)  # two cells of 2 x 2 each
    imprints[0, 0] = torch.tensor([[1.0, 2, 0, 0], [3, 4, 0, -1]])  # cells 10 and -1
    imprints[1, 0] = torch.tensor([[1.0, 1, 1, 1], [1, 1, 1, 0]])  # cells 4 and 3
    imprints[:, 1] = 7  # green is not looked at
    latents = torch.tensor([[[[5.0, 1.0]]], [[[1.0, 3.0]]]])
    loss.deviation.fill_(2)
    # Predicted: 6 and -4. True: (5 - 1) / 2 = 2 and (1 - 3) / 2 = -1. The other pair: the same, negative.
    expected = ((6 - 2) ** 2 + (-4 + 1) ** 2) / 2
    assert loss(imprints, latents).item() == pytest.approx(expected)


def test_any_batch_is_numpys() -> None:
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    loss = DifferenceLoss(4, 8, hidden=5)
    imprints, latents = (
        rng.normal(size=(3, 3, 16, 24)),
        rng.normal(3, [[[[2]], [[9]], [[1]], [[4]]]], (3, 4, 2, 3)),
    )
    loss.fit([torch.from_numpy(latents)])
    first, _, last = loss.mlp
    w1, b1, w2, b2 = (
        t.detach().double().numpy()
        for t in (first.weight[..., 0, 0], first.bias, last.weight[..., 0, 0], last.bias)
    )
    scaled = (latents - latents.mean((0, 2, 3), keepdims=True)) / latents.std((0, 2, 3), keepdims=True)
    errors = []
    for one, other in ((0, 1), (1, 2), (2, 0)):
        for row in range(2):
            for column in range(3):
                window = np.s_[:, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
                cell = (imprints[one][window] - imprints[other][window]).ravel()
                predicted = w2 @ np.maximum(w1 @ cell + b1, 0) + b2
                errors.append(predicted - (scaled[one] - scaled[other])[:, row, column])
    found = loss(torch.from_numpy(imprints).float(), torch.from_numpy(latents).float())
    assert found.item() == pytest.approx(np.square(errors).mean(), rel=1e-5)


def test_fit_is_numpys_also_from_float16() -> None:
    latents = np.random.default_rng(0).normal(5, [[[[2]], [[0.5]]]], (6, 2, 4, 4)).astype(np.float16)
    loss = DifferenceLoss(2)
    loss.fit([torch.from_numpy(latents)])
    exact = latents.astype(np.float64)
    np.testing.assert_allclose(loss.deviation, exact.std((0, 2, 3)), rtol=1e-6)
    assert "deviation" in loss.state_dict()


def test_fit_to_latents_of_several_sizes_counts_each_place_once() -> None:
    rng = np.random.default_rng(0)
    shapes = ((3, 2, 4, 4), (1, 2, 1, 7), (2, 2, 5, 3))
    latents = [rng.normal([[[[1]], [[-8]]]], [[[[2]], [[0.1]]]], shape) + n for n, shape in enumerate(shapes)]
    loss = DifferenceLoss(2)
    loss.fit(torch.from_numpy(some) for some in latents)
    places = np.concatenate([some.transpose(0, 2, 3, 1).reshape(-1, 2) for some in latents])
    np.testing.assert_allclose(loss.deviation, places.std(0), rtol=1e-6)


def test_fit_to_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no latents"):
        DifferenceLoss(2).fit([])


def test_a_dead_channel_does_not_blow_up() -> None:
    loss = adding()
    loss.fit([torch.full((3, 1, 1, 2), 2.0)])
    assert loss(torch.zeros(3, 3, 2, 4), torch.full((3, 1, 1, 2), 2.0)).item() == 0


def test_gradients_reach_imprints_and_mlp_only() -> None:
    torch.manual_seed(0)
    loss = DifferenceLoss(4)
    imprints = torch.randn(3, 3, 16, 16, requires_grad=True)
    latents = torch.randn(3, 4, 2, 2, requires_grad=True)
    loss(imprints, latents).backward()
    assert latents.grad is None
    assert imprints.grad is not None
    assert imprints.grad.abs().sum((1, 2, 3)).min() > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in loss.parameters())


def test_it_can_be_learned() -> None:
    torch.manual_seed(0)
    loss = DifferenceLoss(2, 4, hidden=16)
    imprints = torch.randn(16, 3, 8, 8)
    latents = imprints.unflatten(2, (2, 4)).unflatten(4, (2, 4)).mean((3, 5))[:, :2] * 4
    steps = torch.optim.Adam(loss.parameters(), lr=1e-2)
    for _ in range(150):
        steps.zero_grad()
        loss(imprints, latents).backward()
        steps.step()
    assert loss(imprints, latents).item() < 0.2  # about 2 by predicting 0


def test_under_autocast_the_answer_is_float32() -> None:
    torch.manual_seed(0)
    loss = DifferenceLoss(4)
    imprints, latents = torch.randn(2, 3, 16, 16), torch.randn(2, 4, 2, 2)
    exact = loss(imprints, latents)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(imprints, latents)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact, rtol=1e-2, atol=1e-2)


def test_a_batch_of_one_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least 2"):
        DifferenceLoss(4)(torch.zeros(1, 3, 16, 16), torch.zeros(1, 4, 2, 2))


def test_latents_of_another_grid_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"latents of 4 x 4 places of 8 pixels .* 16 x 16"):
        DifferenceLoss(4)(torch.zeros(2, 3, 16, 16), torch.zeros(2, 4, 4, 4))
