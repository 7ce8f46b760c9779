"""The README's picture of the page: `python -m tests.browser.picture http://127.0.0.1:8081 docs/page.png`.

It is a real conversation with the server at that address, caught while the agent speaks.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from playwright.async_api import expect

from tests.browser.chromium import microphone_file, opened

SIZE = {"width": 1200, "height": 750}
SAID = (1.2, "what_is_your_name.wav", 5.0, "tell_me_a_story.wav", 6.5, "what_time_is_it.wav", 60.0)


async def take(url: str, path: Path) -> None:
    """Hold the conversation and write the PNG."""
    with tempfile.TemporaryDirectory() as folder:
        microphone = microphone_file(Path(folder) / "microphone.wav", *SAID)
        async with opened(url, microphone=microphone, viewport=SIZE) as page:
            await page.get_by_role("button", name="Connect").click()
            last = page.locator(".entry.agent").nth(2)
            await expect(last.locator(".chip")).to_be_visible(timeout=60_000)
            await expect(page.locator("body")).to_have_attribute("data-state", "speaking")
            await page.wait_for_timeout(400)  # the orb's colour has settled and the voice is under way
            await page.screenshot(path=path)


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1], Path(sys.argv[2])))
