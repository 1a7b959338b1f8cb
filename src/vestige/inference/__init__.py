"""Model packages, ONNX Runtime sessions, calibration and verdicts. Never imports torch."""
