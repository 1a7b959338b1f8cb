"""A recipe fitted several times, without each generator or on fractions of the pictures, over one cache."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from vestige.data.manifest import Row
from vestige.progress import Progress
from vestige.training.export import export
from vestige.training.run import Shop, fit_run, open_shop
from vestige.training.variants import Variant


class Study:
    """All variants of one recipe; frozen features are computed once.

    Args:
        cache: folder of frozen features that several runs share; None: `folder/shared/cache`.

    Raises:
        ConfigError, DataError: as `vestige.training.run.train`.
    """

    def __init__(
        self,
        recipe: Path,
        manifest: Path,
        weights: Path | None,
        folder: Path,
        progress: Progress,
        cache: Path | None = None,
    ) -> None:
        self.folder = folder
        self.shop: Shop = open_shop(recipe, manifest, weights, folder / "shared", progress, cache)

    @property
    def rows(self) -> list[Row]:
        """The pictures of the recipe."""
        return self.shop.rows

    def packages(self, variants: Sequence[Variant]) -> Iterator[tuple[Variant, Path]]:
        """The folder of the model package of each variant; those that exist are not made again."""
        for variant in variants:
            name = quote(variant.name, safe="")  # groups may be called anything, folders not
            package = self.folder / "packages" / name
            if not package.exists():
                self.shop.progress.say(f"training {self.shop.recipe.package.name}, {variant.name}")
                run = self.folder / "runs" / name
                fit_run(self.shop, variant, run)
                export(run, self.shop.manifest, package)
            yield variant, package
