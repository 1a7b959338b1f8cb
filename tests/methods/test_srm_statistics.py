"""SRM statistics against NumPy histograms."""

import numpy as np
import torch

from vestige.methods.references.srm_statistics import SrmStatistics
from vestige.nn.srm import SrmResiduals


def test_histograms_and_energy() -> None:
    torch.manual_seed(0)
    images = torch.rand(2, 3, 20, 24) * 0.05
    found = SrmStatistics()(images).numpy()
    residuals = SrmResiduals(step=2)(images).numpy().astype(np.float64)
    assert found.shape == (2, SrmStatistics.width)
    for picture in range(2):
        for number in range(30):
            values = residuals[picture, number]
            rounded = np.clip(np.rint(values), -3, 3)
            shares = [(rounded == level).mean() for level in range(-3, 4)]
            np.testing.assert_allclose(found[picture, number:210:30], shares, atol=1e-6)
            np.testing.assert_allclose(
                found[picture, 210 + number], np.log((values**2).mean() + 1e-3), atol=1e-4
            )
