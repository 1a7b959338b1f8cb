"""The tiny autoencoder: shapes, names of the published tensors, loading."""

from pathlib import Path

import torch

from vestige.nn.tiny_autoencoder import TinyAutoencoder, build_decoder, build_encoder


def test_shapes_and_range() -> None:
    torch.manual_seed(0)
    network = TinyAutoencoder().eval()
    with torch.inference_mode():
        latents = network.encoder(torch.rand(2, 3, 32, 48))
        images = network(torch.rand(2, 3, 32, 48) * 3)
    assert latents.shape == (2, 32, 4, 6)
    assert images.shape == (2, 3, 32, 48)
    assert images.min() >= 0
    assert images.max() <= 1


def test_latents_are_clamped_softly() -> None:
    clamp = build_decoder()[0]
    torch.testing.assert_close(clamp(torch.tensor([0.01, 1e6])), torch.tensor([0.01, 3.0]), atol=1e-4, rtol=0)


def test_names_of_the_published_tensors() -> None:
    encoder, decoder = build_encoder().state_dict(), build_decoder().state_dict()
    # conv, block, 3 x (down, 3 blocks), conv; only the last three blocks are pooled.
    assert {int(name.split(".")[0]) for name in encoder} == set(range(15))
    assert {int(name.split(".")[0]) for name in encoder if ".pool." in name} == {11, 12, 13}
    assert encoder["11.pool.0.weight"].shape == (256, 64, 1, 1)
    # clamp, conv, ReLU, 3 x (3 blocks, up, conv), block, conv; the first three blocks are pooled.
    assert {int(name.split(".")[0]) for name in decoder if ".pool." in name} == {3, 4, 5}
    assert decoder["19.weight"].shape == (3, 64, 3, 3)


def test_load(tmp_path: Path) -> None:
    source = TinyAutoencoder().eval()
    torch.save(source.encoder.state_dict(), tmp_path / "encoder.pth")
    torch.save(source.decoder.state_dict(), tmp_path / "decoder.pth")
    loaded = TinyAutoencoder.load(tmp_path / "encoder.pth", tmp_path / "decoder.pth")
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    image = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(image), source(image))
