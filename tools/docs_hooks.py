"""Hooks of MkDocs: what the documentation site has beside the files in `docs/` is made while it is built.

MkDocs puts the folder of this file on the import path while it loads it.
"""

import logging
from functools import cache
from pathlib import Path
from typing import Any

from docs_site.links import Rewriter
from docs_site.pages import MadePage, made_pages
from docs_site.sidebar import filled
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from pymdownx.slugs import slugify  # type: ignore[import-untyped]

ROOT = Path(__file__).parents[1]
ICON = ROOT / "src" / "vestige" / "apps" / "server" / "static" / "icon.svg"
ICON_ON_SITE = "assets/icon.svg"

log = logging.getLogger("mkdocs.plugins.vestige")


@cache
def _made() -> dict[str, MadePage]:
    """Site path -> page."""
    return {page.path: page for page in made_pages(ROOT)}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the navigation, and make anchors as GitHub does, since the pages are read there, too."""
    toc: dict[str, Any] = config.mdx_configs.setdefault("toc", {})
    toc["slugify"] = slugify(case="lower")
    config.nav = filled(config.nav, _made().values(), ROOT / "docs")
    if ICON.exists():
        config.theme["favicon"] = config.theme["logo"] = ICON_ON_SITE
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is made."""
    for page in _made().values():
        if page.left_out:
            log.info("%s: left out, %s", page.path, page.left_out)
        files.append(File.generated(config, page.path, content=page.text))
        for name, text in page.attachments.items():
            files.append(File.generated(config, name, content=text))
    if ICON.exists():
        files.append(File.generated(config, ICON_ON_SITE, abs_src_path=str(ICON)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    path = page.file.src_uri
    made = _made()
    origin = made[path].origin if path in made else f"docs/{path}"
    if path.startswith("results/") and path.count("/") > 1:
        # Tables of figures would drown what people look for.
        page.meta.setdefault("search", {"exclude": True})
    if path == "README.md":
        page.meta.setdefault("hide", ["navigation"])
    return Rewriter(ROOT, made.values()).rewrite(markdown, origin=origin, path=path)
