"""The contract of a method and of its network.

A network is split where training starts: `frozen` is computed once per view and cached, `head` is
trained. A method that trains everything has an identity as its frozen part.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from torch import Tensor, nn

from vestige.methods.parts import FrozenPart
from vestige.methods.stage import Stage

__all__ = ["TRUTH_CELL", "FrozenPart", "Method", "Network", "Output"]

TRUTH_CELL = 8  # pixels; sides of views are multiples of it


class Output(NamedTuple):
    """What every detector says.

    Attributes:
        logit: [B], positive = generated.
        map: [B, 1, h, w], a logit per location, or None.
        deviation: [B], at least 0, how little a view resembles what the network was fitted to, whatever the
            logit says; or None.
    """

    logit: Tensor
    map: Tensor | None = None
    deviation: Tensor | None = None


class Network(nn.Module):
    """A detector: images in, `Output` out; normalisation lives inside, so it travels with the export.

    Attributes:
        linear: the last layer, on what `embed` returns.
        learns_where: whether `learn` gets what is known of the pixels as the last feature.
    """

    linear: nn.Linear
    learns_where: bool = False

    def parts(self) -> tuple[FrozenPart, ...]:
        """What `frozen` is made of, each computed on its own; by default nothing: not divided.

        A part that another network has too is computed once for both.
        """
        return ()

    def teachers(self) -> tuple[FrozenPart, ...]:
        """What only training needs of a view, kept on disk beside the parts; by default nothing.

        The solvers get it behind what `frozen` returns; `embed` and `head` do not look at it.
        """
        return ()

    def frozen(self, images: Tensor) -> tuple[Tensor, ...]:
        """Everything before the trained part; by default what the parts say.

        Args:
            images: float32 [B, 3, H, W] in [0, 1].

        Returns:
            Tensors with B rows each.
        """
        parts = self.parts()
        if not parts:
            raise NotImplementedError(f"{type(self).__name__} has neither parts nor a frozen of its own")
        return tuple(part.module(images) for part in parts)

    def embed(self, *features: Tensor) -> Tensor:
        """What the last layer sees, [B, D], from what `frozen` returned."""
        raise NotImplementedError

    def head(self, *features: Tensor) -> Output:
        """The trained part, on what `frozen` returned."""
        raise NotImplementedError

    def learn(self, *features: Tensor) -> tuple[Output, dict[str, Tensor]]:
        """What the gradient solver learns from, by default what `head` says and nothing else.

        Args:
            features: what `frozen` returned, then what the teachers say; then, for a network that
                `learns_where`, float32 [B, 2, S / 8, S / 8] in [0, 1]: which share of each cell of
                `TRUTH_CELL` pixels of the view [S, S] was changed, and which is generated. `prepare` gets it,
                too; `embed` and `head` do not look at it.

        Returns:
            The output, whose logit is classified, and losses of the method's own by name, scalars that are
            added to the classification's.
        """
        return self.head(*features), {}

    def prepare(self, batches: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit whatever depends on the data but is not trained, such as a standardisation; by default nothing.

        What is fitted are buffers: checkpoints hold no frozen parameters.

        Args:
            batches: what `frozen` returned for some training views, then what the teachers say.
        """

    def fresh_parameters(self) -> list[nn.Parameter]:
        """Parameters without a pretrained start, which may learn faster; by default none."""
        return []

    def exportable(self) -> "Network":
        """What is exported in its place: the same answers from fewer or simpler layers; by default itself.

        This network stays as it is: what a run keeps must load into a network that was built anew.
        """
        return self

    def forward(self, images: Tensor) -> Output:
        """float32 [B, 3, H, W] in [0, 1] -> `Output`."""
        return self.head(*self.frozen(images))


@dataclass(frozen=True)
class Method:
    """A method as the registry lists it.

    Attributes:
        name: the registry's name.
        paper: where it comes from.
        config: schema of the recipe's `model` section.
        build: (config, folder with starting weights or None) -> network. None is for restoring a
            trained network: its weights follow from the checkpoint.
        solver: how the head is fitted: "logistic" or "sources" (convex), "gradient" (Lightning),
            "alternating" (two halves in turn), "discriminant" (closed form),
            "distilled" (gradients, then closed form), or "none" for a method without training.
        starting_weights: weights it starts from, with licence, as the card says it.
        weights_of: which of them a configuration really uses; None: all.
        map_output: whether the network has a map.
        looks_at: "pixels", or "facts": the network takes what is known of the file instead of images, float32
            [B, F] as `vestige.images.file_facts.vector` gives it.
        from_hub: whether a configuration finds all its starting weights at the Hugging Face hub; None: none
            does.
        never_held_out: groups that every fit of a configuration must see, so that none of their pictures can
            serve for the calibration; None: there are none.
        stages: what is trained on pictures before the detector, in this order.
    """

    name: str
    paper: str
    config: type[BaseModel]
    build: Callable[[Any, Path | None], Network]
    solver: str
    starting_weights: tuple[str, ...] = ()
    map_output: bool = False
    looks_at: Literal["pixels", "facts"] = "pixels"
    stages: tuple[Stage, ...] = ()
    weights_of: Callable[[Any], tuple[str, ...]] | None = None
    from_hub: Callable[[Any], bool] | None = None
    never_held_out: Callable[[Any], tuple[str, ...]] | None = None
