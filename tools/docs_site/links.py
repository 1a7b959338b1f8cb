"""Links between files of the repository -> links between pages of the site."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import Path

from docs_site.made import MadePage

# Fenced blocks and code spans are passed over; a link is met before the code inside its text.
_PARTS = re.compile(
    r"(?P<fence>^ *(?P<mark>```+|~~~+).*?^ *(?P=mark)[ ]*$)"
    r"|(?P<image>!?)\[(?P<text>(?:`[^`\n]*`|[^\[\]`])*)\]\((?P<target><[^>\n]*>|[^()\s<>]*)\)"
    r"|(?P<code>(?P<ticks>`+)[^`].*?(?P=ticks))",
    re.DOTALL | re.MULTILINE,
)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


class Rewriter:
    """Knows where each file of the repository lies on the site.

    Args:
        root: folder of the repository.
        made: the pages that are no files in `docs/`.
    """

    def __init__(self, root: Path, made: Iterable[MadePage]) -> None:
        self._root = root
        self._at: dict[str, str] = {}
        self._made: set[str] = set()
        for page in made:
            self._made.add(page.path)
            self._at |= dict.fromkeys((page.origin, *page.stands_for), page.path)
        self._at.pop("", None)

    def rewrite(self, text: str, *, origin: str, path: str) -> str:
        """The text of a page with its links changed.

        Args:
            text: Markdown.
            origin: file of the repository that it comes from, relative to the root, or "" where its links
                are those of the site.
            path: where it lies on the site, relative to `docs/`.

        Returns:
            The same Markdown. A link to a file that has no place on the site becomes the file's path in
            code; one to nothing stays as it is, so that the strict build complains.
        """
        if not origin:
            return text

        def changed(part: re.Match[str]) -> str:
            target = part["target"]
            if target is None:
                return part[0]
            bare, bracketed = target.removeprefix("<").removesuffix(">"), target.startswith("<")
            if not bare or bare.startswith("#") or _ELSEWHERE.match(bare):
                return part[0]
            file, mark, anchor = bare.partition("#")
            place = posixpath.normpath(posixpath.join(posixpath.dirname(origin), file))
            found = self.site_path(place)
            if found is None:
                return part[0] if not (self._root / place).exists() else self._named(part["text"], place)
            new = posixpath.relpath(found, posixpath.dirname(path) or ".") + mark + anchor
            return f"{part['image']}[{part['text']}]({f'<{new}>' if bracketed else new})"

        return _PARTS.sub(changed, text)

    def site_path(self, place: str) -> str | None:
        """Where a file or folder of the repository lies on the site, relative to `docs/`; None: nowhere."""
        if place in self._at:
            return self._at[place]
        if place == "docs" or place.startswith("docs/"):
            inside = posixpath.relpath(place, "docs")
            if (self._root / place).is_file():
                return inside
            for name in ("README.md", "index.md"):
                page = posixpath.normpath(posixpath.join(inside, name))
                if (self._root / "docs" / page).is_file() or page in self._made:
                    return page
        return None

    @staticmethod
    def _named(text: str, place: str) -> str:
        code = f"`{place}`"
        return code if text.strip("`") in (place, posixpath.basename(place)) else f"{text} ({code})"
