"""Lightning's Trainer over a method's stage: mixed precision, accumulation, several devices, resumable."""

import logging
import math
import time
import warnings
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from vestige.methods.stage import StageConfig, Task
from vestige.progress import Progress
from vestige.training.parallel import strategy, told
from vestige.training.pictures import Pictures
from vestige.training.stages import LAST, METRICS, SAMPLES, append_metrics
from vestige.training.streaming import Stream, batches_of

MEASURED_AT_ONCE = 16
SHOWN = 8
TRAINING, MEASURING = 0, 1  # which stream of draws


def generator_for(seed: int, stream: int, number: int) -> torch.Generator:
    """The generator that belongs to a batch: a continued run draws the same."""
    value = int(np.random.SeedSequence([seed, stream, number]).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(value % 2**63)


class StageTraining(lightning.LightningModule):  # type: ignore[misc]
    """A task's loss under Adam; figures and sample pictures at the end of each epoch."""

    def __init__(
        self,
        task: Task,
        config: StageConfig,
        seed: int,
        pictures: Pictures | Stream,
        held_back: Tensor,
        folder: Path,
        progress: Progress,
    ) -> None:
        super().__init__()
        self.task, self.config, self.seed = task, config, seed
        self.pictures, self.held_back = pictures, held_back
        self.folder, self.progress = folder, progress
        self._clock = _Clock()

    def train_dataloader(self) -> Any:
        """The batches of one epoch; numbers go on from epoch to epoch, the last one may be shorter."""
        config, done = self.config, self.trainer.global_step
        steps = max(1, min(config.steps_per_epoch, config.steps - done))
        batches_per_step = config.accumulate * self.trainer.world_size
        # By steps and not by Lightning's epoch, which a continued run counts up only after this.
        first, count = done * batches_per_step, steps * batches_per_step
        batches = batches_of(self.pictures, config.batch, config.crop, self.seed, first, count)
        self._clock = _Clock()
        # Devices take turns, so that two of them see what one that accumulates two batches sees.
        own = range(self.trainer.global_rank, count, self.trainer.world_size)
        return DataLoader(batches, batch_size=None, sampler=own, num_workers=config.workers)

    def training_step(self, batch: tuple[int, Tensor]) -> Tensor:
        """Loss of a batch; all that is random follows from its number."""
        number, pixels = batch
        self._clock.started(len(pixels))
        parts = self.task.loss(pixels.float() / 255, generator_for(self.seed, TRAINING, int(number)))
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=len(pixels), sync_dist=True)
        return parts["loss"]

    def on_train_batch_end(self, *_: Any) -> None:
        """The batch is done; what follows until the next one is waiting for data."""
        self._clock.stopped()

    def on_train_epoch_end(self) -> None:
        """Measure, show and say how far it is."""
        found = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        if not self.trainer.is_global_zero:
            return
        found |= self._measure()
        found |= {"images_per_second": self._clock.rate, "waiting": self._clock.waiting}
        step = self.trainer.global_step
        append_metrics(self.folder / METRICS, step, found)
        shown = ", ".join(f"{name} {value:.4g}" for name, value in found.items())
        self.progress.say(f"  step {step} of {self.config.steps}: {shown}")

    def configure_optimizers(self) -> Any:
        """Adam, constant and then half a cosine down to zero."""
        config = self.config
        optimiser = torch.optim.Adam(
            (p for p in self.task.network.parameters() if p.requires_grad), lr=config.learning_rate
        )

        def share(step: int) -> float:
            left = (config.steps - step) / max(1.0, config.decay * config.steps)
            return 1.0 if left >= 1 else 0.5 - 0.5 * math.cos(math.pi * max(0.0, left))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, share)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @torch.no_grad()
    def _measure(self) -> dict[str, float]:
        self.task.eval()
        parts: dict[str, list[Tensor]] = {}
        for number, pixels in enumerate(torch.split(self.held_back, MEASURED_AT_ONCE)):
            images = pixels.to(self.device).float() / 255
            for name, values in self.task.measure(
                images, generator_for(self.seed, MEASURING, number)
            ).items():
                parts.setdefault(f"held_back_{name}", []).append(values.float().cpu())
        images = self.held_back[:: max(1, len(self.held_back) // SHOWN)][:SHOWN].to(self.device).float() / 255
        rows = self.task.samples(images, generator_for(self.seed, MEASURING, 0))
        _write_sheet(self.folder / SAMPLES / f"step-{self.trainer.global_step:07d}.png", list(rows.values()))
        self.task.train()
        return {name: float(torch.cat(values).mean()) for name, values in parts.items()}


class _Clock:
    """Images per second, and the share of the time spent waiting for data."""

    def __init__(self) -> None:
        self.images, self.working, self._begin, self._last = 0, 0.0, time.perf_counter(), 0.0

    def started(self, images: int) -> None:
        self._last = time.perf_counter()
        self.images += images

    def stopped(self) -> None:
        self.working += time.perf_counter() - self._last
        self._end = time.perf_counter()

    @property
    def rate(self) -> float:
        return self.images / max(1e-9, self._end - self._begin)

    @property
    def waiting(self) -> float:
        return max(0.0, 1 - self.working / max(1e-9, self._end - self._begin))


def _write_sheet(path: Path, rows: list[Tensor]) -> None:
    """One PNG, a row for each kind of picture, a column for each image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = torch.cat([torch.cat(list(row.float().cpu().clamp(0, 1)), 2) for row in rows], 1)
    Image.fromarray((sheet * 255).round().byte().permute(1, 2, 0).numpy()).save(path)


def fit(
    task: Task,
    config: StageConfig,
    seed: int,
    pictures: Pictures | Stream,
    held_back: Tensor,
    folder: Path,
    progress: Progress,
) -> None:
    """Train the task's network in place. Continues from `folder/last.ckpt` if it is there.

    Args:
        held_back: uint8 [N, 3, S, S], crops of pictures that are not trained on.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    module = StageTraining(task, config, seed, pictures, held_back, folder, progress)
    last = folder / LAST
    with warnings.catch_warnings():
        # Frozen parts of a task stay in eval mode on purpose.
        warnings.filterwarnings("ignore", message="Found .* module.s. in eval mode")
        # That is what a continued run looks like.
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        # Batches are numbered and quickly cut; more workers are the recipe's choice.
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # Lightning's own use of a part of PyTorch that is going away.
        warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated")
        trainer = lightning.Trainer(
            # With max_steps Lightning would repeat a batch of the epoch that a checkpoint ends.
            max_epochs=math.ceil(config.steps / config.steps_per_epoch),
            accelerator="auto",
            devices=config.devices,
            strategy=strategy(config.devices),
            precision=config.precision,
            accumulate_grad_batches=config.accumulate,
            reload_dataloaders_every_n_epochs=1,
            use_distributed_sampler=False,  # it would shuffle the numbered batches
            callbacks=[
                ModelCheckpoint(
                    dirpath=folder,
                    filename=LAST.removesuffix(".ckpt"),
                    enable_version_counter=False,
                    save_on_train_epoch_end=True,
                )
            ],
            logger=False,
            enable_model_summary=False,
            enable_progress_bar=False,
        )
        with told():
            trainer.fit(module.train(), ckpt_path=last if last.exists() else None)
    task.cpu().eval()
