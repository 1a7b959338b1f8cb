"""Download a package's tower from the Hugging Face hub. Nothing here is called without the user's consent."""

from importlib.util import find_spec
from pathlib import Path

from vestige.errors import ModelPackageError
from vestige.inference.card import Tower
from vestige.inference.tower import by_hand, describe, hub, keep, url

# By name, since they have moved between versions; the narrower ones first.
REASONS = {
    "OfflineModeIsEnabled": "huggingface_hub was told to stay offline, by HF_HUB_OFFLINE",
    "GatedRepoError": "its owners give it only to those who asked them and are logged in",
    "RepositoryNotFoundError": "the hub has no such repository, or it is not public",
    "RevisionNotFoundError": "the repository has no such revision",
    "EntryNotFoundError": "the repository has no such file at this revision",
}
# Where the errors of a failed connection come from.
NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")


def can_download(tower: Tower, model: str | Path = "MODEL") -> None:
    """Make sure that a download can be tried.

    Args:
        model: name or folder of the package, for the command that the message may name.

    Raises:
        ModelPackageError: the tower is at no hub, or `huggingface_hub` is not installed.
    """
    if tower.hub is None:
        raise ModelPackageError(
            f"{describe(tower)}: it is at no hub, so nothing can be downloaded; {by_hand(model)}"
        )
    if find_spec("huggingface_hub") is None:
        raise ModelPackageError(
            "downloading needs huggingface_hub, which is not installed: pip install 'vestige[hub]', "
            f"or {_by_hand(tower)}"
        )


def fetch(tower: Tower) -> Path:
    """Download the tower into the cache folder, whatever is there; returns where it lies.

    On a terminal, `huggingface_hub` shows a bar.

    Raises:
        ModelPackageError: the tower is at no hub, `huggingface_hub` is not installed, the hub cannot be
            reached or does not have the file, the file is another one, or the cache folder cannot be written
            to. Nothing is kept then.
    """
    can_download(tower)
    assert tower.hub is not None
    repository = tower.hub

    def get(folder: Path) -> Path:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        try:
            place = hf_hub_url(repository, tower.file, revision=tower.revision, endpoint=hub())
            size = get_hf_file_metadata(place).size
            if size is None or size == tower.bytes:
                return Path(
                    hf_hub_download(
                        repository,
                        tower.file,
                        revision=tower.revision,
                        endpoint=hub(),
                        local_dir=folder,
                    )
                )
        except Exception as error:  # no network, no such name, no permission, a full disk: one of many types
            raise ModelPackageError(
                f"{url(tower)}: cannot be had ({_reason(error)}); try again, or {_by_hand(tower)}"
            ) from error
        raise ModelPackageError(
            f"{url(tower)}: another file than the one that the package was made with, it has {size} bytes "
            f"and the card says {tower.bytes}; nothing was downloaded"
        )

    return keep(tower, get)


def _by_hand(tower: Tower) -> str:
    return f"download {url(tower)} by other means and give the file with vestige fetch MODEL --from FILE"


def _reason(error: Exception) -> str:
    said = str(error).strip().split("\n")[0] or type(error).__name__
    kinds = [kind.__name__ for kind in type(error).__mro__]
    if "LocalEntryNotFoundError" in kinds and isinstance(error.__cause__, Exception):
        return _reason(error.__cause__)
    words = next((words for name, words in REASONS.items() if name in kinds), said)
    module = type(error).__module__.split(".")[0]
    if words == said and (isinstance(error, ConnectionError | TimeoutError) or module in NETWORK):
        return f"no connection to the hub: {said}"
    return words
