"""A form with pictures, taken apart as it arrives, in memory and within limits."""

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from vestige.apps.server.refusals import RefusalError

FIELD = "files"
HEADERS, HEADER_BYTES = 8, 4096  # of one part


class Part:
    """One picture of the form, as far as it has arrived.

    Attributes:
        name: the file name that the client gave.
    """

    def __init__(self, name: str, most: int) -> None:
        self.name = name
        self._most = most
        self._data: bytearray | None = bytearray()

    def add(self, data: bytes) -> None:
        """More of it; what is too long is let go at once."""
        if self._data is not None:
            self._data += data
            if len(self._data) > self._most:
                self._data = None

    def take(self) -> bytes | None:
        """Its bytes, once; None: they were too many."""
        data, self._data = self._data, bytearray()
        return None if data is None else bytes(data)


class Form:
    """Takes a body of multipart/form-data in chunks.

    Args:
        content_type: the header, with its boundary.
        most_files: more parts are refused.
        most_bytes: of one part; longer ones are not kept.

    Raises:
        RefusalError: the header names no usable boundary.
    """

    def __init__(self, content_type: str, most_files: int, most_bytes: int) -> None:
        boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
        self._most_files, self._most_bytes = most_files, most_bytes
        self._parts: list[Part] = []
        self._headers: dict[bytes, bytes] = {}
        self._field, self._value = bytearray(), bytearray()
        self._ended = False
        if not 1 <= len(boundary) <= 70:  # RFC 2046, 5.1.1
            raise RefusalError("bad_multipart", "The Content-Type names no boundary of 1 to 70 characters.")
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
                "on_header_end": self._header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._parts[-1].add(data[start:end]),
                "on_end": self._end,
            },
            max_header_count=HEADERS,
            max_header_size=HEADER_BYTES,
        )

    def feed(self, chunk: bytes) -> None:
        """More of the body.

        Raises:
            RefusalError: it is broken, has too many parts, or parts with another name than `FIELD`.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise RefusalError("bad_multipart", "The form is broken: it does not follow RFC 7578.") from error

    def finish(self) -> list[Part]:
        """All parts, when the body is complete.

        Raises:
            RefusalError: the form ends too early or has no picture.
        """
        if not self._ended:
            raise RefusalError("bad_multipart", "The form ends before its last boundary.")
        if not self._parts:
            raise RefusalError("bad_form", f"The form has no picture: send one or more in the field {FIELD}.")
        return self._parts

    def _begin(self) -> None:
        self._headers = {}

    def _header(self) -> None:
        self._headers[bytes(self._field).lower()] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _open(self) -> None:
        # Browsers and curl send names in UTF-8, which the parser hands through as latin-1.
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        if kind != b"form-data" or b"name" not in options:
            raise RefusalError("bad_multipart", "A part of the form does not say which field it is.")
        if options[b"name"] != FIELD.encode():
            raise RefusalError(
                "bad_form", f"The form has a field that is not known: pictures go into the field {FIELD}."
            )
        if len(self._parts) >= self._most_files:
            raise RefusalError("too_many_files", f"A request may have {self._most_files} pictures at most.")
        name = options.get(b"filename", b"").decode("utf-8", "replace")
        self._parts.append(Part(name, self._most_bytes))

    def _end(self) -> None:
        self._ended = True
