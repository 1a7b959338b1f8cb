"""Small synthetic copies of published data sets."""

import io
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from vestige.data.layouts import Entry

FORENSYNTHS_PER_CLASS = {
    "progan": ["airplane", "cat"], "stylegan": ["car"], "stylegan2": ["horse"], "cyclegan": ["apple"],
}  # fmt: skip
FORENSYNTHS_MERGED = "biggan stargan gaugan crn imle seeingdark san deepfake whichfaceisreal".split()  # noqa: SIM905
DIFFUSION = [
    "guided", "ldm_200", "ldm_200_cfg", "ldm_100", "glide_100_27", "glide_50_27", "glide_100_10", "dalle",
]  # fmt: skip
GENIMAGE = {
    "Midjourney": "imagenet_midjourney",
    "Stable Diffusion V1.4": "imagenet_ai_0419_sdv4",
    "ADM": "imagenet_ai_0508_adm",
}
SYNTHBUSTER = ["dalle3", "firefly", "stable-diffusion-xl"]


@lru_cache(maxsize=512)
def picture(number: int, kind: str = "PNG") -> bytes:
    """The bytes of a picture; each number its own."""
    out = io.BytesIO()
    Image.new("RGB", (8 + number % 3, 9), (number % 256, number // 256 % 256, 77)).save(out, kind)
    return out.getvalue()


def write_tree(root: Path, names: Iterable[str]) -> Path:
    """Write a picture under each name (folders end in "/"); the content depends on the name's place."""
    for number, name in enumerate(names):
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(number, "JPEG" if path.suffix == ".jpg" else "PNG"))
    root.mkdir(exist_ok=True)
    return root


def pair(folder: str, count: int = 2, real: str = "0_real", generated: str = "1_fake") -> list[str]:
    """Names of pictures in a pair of label folders."""
    return [f"{folder}{label}/{number:03}.png" for label in (real, generated) for number in range(count)]


def forensynths() -> list[str]:
    names = [name for gen in FORENSYNTHS_MERGED for name in pair(f"test/{gen}/")]
    for gen, classes in FORENSYNTHS_PER_CLASS.items():
        names += [name for one in classes for name in pair(f"test/{gen}/{one}/")]
    # "train" the vehicle is one of the classes of the training set.
    return names + [name for one in ("airplane", "train") for name in pair(f"train/progan/{one}/")]


def universal_fake_detect() -> list[str]:
    names = [name for gen in ("progan/airplane", "biggan") for name in pair(f"datasets/test/{gen}/")]
    names += [f"diffusion_datasets/{real}/0_real/{n}.jpg" for real in ("imagenet", "laion") for n in range(3)]
    return names + [f"diffusion_datasets/{gen}/1_fake/{n}.png" for gen in DIFFUSION for n in range(2)]


def aigcdetect() -> list[str]:
    names = [name for gen in ("progan/airplane", "progan/cat") for name in pair(f"test/{gen}/")]
    return names + [name for gen in ("biggan", "ADM", "wukong", "DALLE2") for name in pair(f"test/{gen}/")]


def aigibench() -> list[str]:
    names = [name for gen in ("ProGAN", "R3GAN", "FLUX1-dev", "SocialRF") for name in pair(f"test/{gen}/")]
    train = ("car", "cat", "chair", "horse", "sdv1.4")
    return names + [name for one in train for name in pair(f"train/{one}/")]


def genimage(outer: bool = True, inner: bool = True) -> list[str]:
    names = []
    for gen, archive in GENIMAGE.items():
        folder = "/".join([gen] * outer + [archive] * inner)
        for split in ("train", "val"):
            names += pair(f"{folder}/{split}/", real="nature", generated="ai")
    return names


def synthbuster() -> list[str]:
    return [f"{gen}/r{number:04}t.png" for gen in SYNTHBUSTER for number in range(2)]


def write_parquet(
    path: Path, columns: dict[str, Sequence[object]], names: Sequence[str] = (), rows_in_group: int = 2
) -> Path:
    """Write a Parquet file as the `datasets` library does, with the names of the classes of `label`."""
    table = pa.table({name: list(values) for name, values in columns.items()})
    if names:
        features = {"label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=rows_in_group)
    return path


def opensdi_file(path: Path, generator: str, first: int = 0, names: Sequence[str] = ("real", "fake")) -> Path:
    """Two real and two generated rows, the first of which are made from one original."""
    numbers = [first, first + 1, first, first + 2]
    kinds = ["real", "real", "fake", "fake"]
    return write_parquet(
        path,
        {
            "key": [f"partial/{generator}/{k}/{n:06}.jpg" for k, n in zip(kinds, numbers, strict=True)],
            "image": [{"bytes": picture(100 + first + n), "path": f"{n}.jpg"} for n in range(4)],
            "mask": [{"bytes": picture(1), "path": None}] * 4,
            "label": [names.index(kind) for kind in kinds],
        },
        names,
    )


def community_file(path: Path, labels: Sequence[int] = (1, 1, 0, 0)) -> Path:
    sources = ["COCO", "LAION", "COCO", "FFHQ"]
    count = len(labels)
    return write_parquet(
        path,
        {
            "image_name": [f"{n:06}.png" for n in range(count)],
            "image_data": [picture(300 + n) for n in range(count)],
            "model_name": ["author/model-a" if label else "coco" for label in labels],
            "prompt": ["text"] * count,
            "real_source": sources[:count],
            "subset": ["Systematic"] * count,
            "split": ["train", "train", "train", "test"][:count],
            "label": list(labels),
        },
    )


def short(entry: Entry, root: Path) -> tuple[str, int, str, str, str, str]:
    """What a test compares: name, label, group, split, category, compare_with."""
    name = Path(entry.file).relative_to(root.resolve()).as_posix()
    return name, entry.label, entry.group, entry.split, entry.category, entry.compare_with
