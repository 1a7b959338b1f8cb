"""Figures of a trained stage on pictures that it was not trained on, one line per picture and draw."""

import csv
from pathlib import Path

import torch

from vestige.methods.stage import Task
from vestige.progress import Progress
from vestige.training.pictures import Pictures, middle_crops
from vestige.training.stage_training import MEASURED_AT_ONCE, MEASURING, generator_for

HELD_BACK_FIGURES = "held-back.csv"
DRAWS = 4  # passages of each picture, each with random choices of its own


def write_held_back(
    task: Task, pictures: Pictures, crop: int, seed: int, path: Path, progress: Progress
) -> None:
    """Measure a task on the middle crops of pictures and write the figures as CSV.

    Columns: picture, group, draw, then what the task measures (`Task.measure`).

    Raises:
        DataError: a picture cannot be read.
    """
    task.eval()
    numbers = range(0, len(pictures), MEASURED_AT_ONCE)
    partial = path.with_suffix(".part")
    with partial.open("w", newline="", encoding="utf-8") as file, torch.no_grad():
        writer = csv.writer(file)
        for first in progress.track(numbers, "measuring on pictures held back"):
            rows = pictures.rows[first : first + MEASURED_AT_ONCE]
            images = middle_crops(Pictures(rows), crop, len(rows)).float() / 255
            for draw in range(DRAWS):
                found = task.measure(images, generator_for(seed, MEASURING, first * DRAWS + draw))
                if not first and not draw:
                    writer.writerow(["picture", "group", "draw", *found])
                values = torch.stack([value.float() for value in found.values()], 1).tolist()
                for row, line in zip(rows, values, strict=True):
                    writer.writerow([row.name, row.group, draw, *(f"{value:.6g}" for value in line)])
    partial.replace(path)
