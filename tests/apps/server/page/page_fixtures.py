"""A browser, and pages that are watched."""

from collections.abc import Iterator
from typing import Any

import pytest
from page_samples import PATIENCE, OpenPage, Site, Watch, chromium_path


@pytest.fixture(scope="module")  # its event loop must be gone when other tests start theirs
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
    path = chromium_path()
    if path is None:
        pytest.skip("the page is tested with chromium: install it, or set VESTIGE_CHROMIUM to its path")
    with playwright.sync_playwright() as running:
        launched = running.chromium.launch(executable_path=path, args=["--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[OpenPage]:
    """Opens a site in a fresh context; afterwards no request may have left it, and nothing gone wrong."""
    contexts, watches = [], []

    def opened(where: Site, *, ready: bool = True, **options: Any) -> Any:
        context = browser.new_context(**{"reduced_motion": "reduce", **options})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        watch = Watch(where.url)
        watch.on(page)
        contexts.append(context)
        watches.append(watch)
        page.goto(where.url)
        if ready:
            page.locator("#about").wait_for()
        page.watch = watch
        return page

    yield opened
    for context in contexts:
        context.close()
    assert [(watch.foreign, watch.errors) for watch in watches] == [([], [])] * len(watches)
