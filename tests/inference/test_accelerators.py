"""Accelerators are used where ONNX Runtime has them; the processor is always there to fall back to."""

from pathlib import Path
from typing import Any

import onnxruntime
import pytest

from conftest import brightness_graph
from vestige.inference.session import open_graph


@pytest.mark.parametrize(
    ("available", "asked"),
    [
        (["CPUExecutionProvider"], ["CPUExecutionProvider"]),
        (
            ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
            ["CUDAExecutionProvider", "CPUExecutionProvider"],
        ),
        (["CPUExecutionProvider", "DmlExecutionProvider"], ["DmlExecutionProvider", "CPUExecutionProvider"]),
        (["AzureExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
    ],
)
def test_providers_that_are_asked_for(
    available: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda graph, options, providers: given.append(providers)
    )
    open_graph(Path("package"), brightness_graph())
    assert given == [asked]
