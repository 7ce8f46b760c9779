"""A headless Chromium with a file for a microphone."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
from goassist_client.sound import MICROPHONE_RATE, read_sound, write_wav
from playwright.async_api import Page, async_playwright, expect

AUDIO = Path(__file__).parents[1] / "audio"
ARTIFACTS = Path(__file__).parents[2] / "artifacts"
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}

expect.set_options(timeout=15_000)  # a busy machine may take longer than the 5 s that Playwright gives

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    # A name that is not this machine's: what a page from elsewhere may do can be tried.
    "--host-resolver-rules=MAP elsewhere.example 127.0.0.1",
]

# Every state that the page shows, in order.
RECORD_STATES = """
  window.shownStates = [];
  new MutationObserver(() => {
    const { state, phase } = document.body?.dataset ?? {};
    if (phase === "live" && state !== window.shownStates.at(-1)) window.shownStates.push(state);
  }).observe(document, { subtree: true, attributes: true, attributeFilter: ["data-state", "data-phase"] });
"""


def installed_browser() -> str | None:
    """Chromium or Chrome in PATH; None where Playwright's own is to be used."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def microphone_file(path: Path, *parts: str | float) -> Path:
    """Write a microphone's sound: names of recordings in tests/audio and seconds of silence, one after another."""
    sounds = [
        np.zeros(round(part * MICROPHONE_RATE), np.int16) if isinstance(part, int | float) else read_sound(AUDIO / part)
        for part in parts
    ]
    write_wav(path, np.concatenate(sounds), MICROPHONE_RATE)
    return path


@asynccontextmanager
async def opened(
    url: str,
    *,
    microphone: Path | None = None,
    allowed: bool = True,
    viewport: dict[str, int] = DESKTOP,
    prepare: str = "",
    autoplay: bool = True,
    **context: Any,
) -> AsyncIterator[Page]:
    """The page at `url`. It must throw no error, and ask nobody else for anything.

    microphone: sound that is played once; a beep where there is none. allowed: the permission for it.
    prepare: a script that runs before the page's own.
    """
    flags = list(FLAGS)
    if microphone is not None:
        flags.append(f"--use-file-for-fake-audio-capture={microphone}%noloop")
    if autoplay:
        flags.append("--autoplay-policy=no-user-gesture-required")
    errors: list[str] = []
    foreign: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=installed_browser(), args=flags)
        permissions = ["microphone"] if allowed else []
        opened_context = await browser.new_context(viewport=viewport, permissions=permissions, **context)
        page = await opened_context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", _note_foreign(url, foreign))
        await page.add_init_script(RECORD_STATES + prepare)
        await page.goto(url)
        yield page
        await browser.close()
    assert errors == []
    assert foreign == []


def _note_foreign(url: str, foreign: list[str]) -> Callable[[Any], None]:
    def note(request: Any) -> None:
        if not request.url.startswith((url, "data:")):
            foreign.append(request.url)

    return note


async def screenshot(page: Page, name: str) -> None:
    """Keep what the page looks like, for a person to look at."""
    ARTIFACTS.mkdir(exist_ok=True)
    await page.screenshot(path=ARTIFACTS / f"{name}.png", animations="allow")
