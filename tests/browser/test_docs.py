"""The reference at /docs as a browser shows it: readable, and without a word to anyone else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from bridge.openapi.document import build_document
from bridge.settings import BridgeSettings
from tests.rest.scripted import serving
from tests.support.browser import find_chromium
from tests.transcoding.forms import forms_catalog

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]


@pytest.mark.browser
async def test_the_reference_shows_the_api_and_asks_nobody_else(tmp_path: Path) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(build_document(forms_catalog())))
    asked: list[str] = []
    problems: list[str] = []
    async with serving(settings=BridgeSettings(openapi_path=document)) as served, async_playwright() as playwright:
        # A home of its own: a browser writes into it even where it is told to keep nothing.
        home = {**os.environ, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=_ARGUMENTS, env=dict(home))
        try:
            page = await browser.new_page(viewport={"width": 1400, "height": 1000})
            page.on("request", lambda request: asked.append(request.url))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            await page.goto(f"{served.url}/docs")
            await expect(page.get_by_role("heading", name="Tollbridge")).to_be_visible(timeout=30_000)
            await expect(page.get_by_text("Reads one thing").first).to_be_visible(timeout=30_000)
            fonts = await page.evaluate("document.fonts.size")
        finally:
            await browser.close()
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []
    assert f"{served.url}/openapi.json" in asked
    assert problems == []
    assert fonts == 0
