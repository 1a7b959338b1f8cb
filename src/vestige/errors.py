"""What can go wrong, said for the reader. Every error that a user may meet is a `VestigeError`."""

from typing import Literal

ImageErrorCode = Literal[
    "not_found",  # no such file, or not a regular file
    "unreadable",  # the file exists but the system refuses to read it
    "empty",  # zero bytes
    "too_large",  # more bytes or pixels than the limits allow
    "unsupported",  # not an image, or a format outside the allow-list
    "truncated",  # the data end before the picture does
    "corrupt",  # the data contradict themselves or the format
    "too_slow",  # decoding took longer than the limits allow
    "internal",  # a bug of ours or of a decoder; please report it
]


class VestigeError(Exception):
    """Base of all errors that Vestige raises on purpose. `str(error)` is one sentence for the user."""


class ImageError(VestigeError):
    """A picture that cannot be used.

    Attributes:
        code: one of `ImageErrorCode`, stable, for machines.
        reason: one sentence for people, without the file's name.
    """

    def __init__(self, code: ImageErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code: ImageErrorCode = code
        self.reason = reason

    def __reduce__(self) -> tuple[type["ImageError"], tuple[ImageErrorCode, str]]:
        # Errors cross process boundaries in bulk runs; the default pickling drops the second argument.
        return type(self), (self.code, self.reason)


class ModelPackageError(VestigeError):
    """A model package that is missing, altered, too new, or does not follow the schema."""


class ConfigError(VestigeError):
    """A recipe or an option that does not make sense; the message lists everything that is wrong."""


class DataError(VestigeError):
    """A data set whose layout, labels or files are not what they should be."""
