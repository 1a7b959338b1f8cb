"""All pages that are made."""

from pathlib import Path

from docs_site.api import api_pages
from docs_site.cards import card_pages
from docs_site.commands import command_pages
from docs_site.http_api import http_page
from docs_site.made import MadePage
from docs_site.methods import method_pages
from docs_site.repository import decision_pages, repeated_pages

__all__ = ["MadePage", "made_pages"]


def made_pages(root: Path) -> list[MadePage]:
    """Pages in the order of the navigation.

    Args:
        root: folder of the repository.
    """
    return [
        *card_pages(),
        *method_pages(root),
        *command_pages(),
        *api_pages(),
        http_page(),
        *repeated_pages(root),
        *decision_pages(root),
    ]
