"""A page in a real browser: what axe finds wrong, what is logged and asked for, what it saves."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: CI needs it, elsewhere tests skip
SKIPPED = PROGRAM is None and not os.environ.get("URNN_NEEDS_BROWSER")
_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe",
)  # fmt: skip
_PATIENCE = 120.0  # seconds

#: What is asked of the page once it is loaded.
_AUDIT = """
(async () => {
  const wide = [...document.querySelectorAll("table, pre, .plot svg, dl, p")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  const tips = document.querySelectorAll(".plot [data-tip]").length;
  const box = document.querySelector(".tools input");
  box?.click();
  const off = document.querySelectorAll(".plot .off").length;
  box?.click();
  for (const details of document.querySelectorAll("details")) details.open = true;
  const open = [...document.querySelectorAll("table")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  const shown = [...document.querySelectorAll(".plot svg")].filter((one) => one.clientWidth).map(
    (one) => one.getAttribute("class"));
  // to axe a drawing is one picture with a name, but it takes minutes to walk over all its shapes
  for (const drawing of document.querySelectorAll(".plot svg")) drawing.replaceChildren();
  const found = await axe.run();
  return {
    width: innerWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    scroll: document.documentElement.scrollWidth,
    cut: [...wide, ...open].map((one) => one.outerHTML.slice(0, 200)),
    tips,
    off,
    shown,
    violations: found.violations.map((one) => [one.id, one.nodes[0].html.slice(0, 200)]),
    passes: found.passes.length,
  };
})()
"""


class Browser:
    """Chromium, spoken to in its DevTools protocol through a pipe; use it in a ``with`` block.

    Source: https://chromedevtools.github.io/devtools-protocol
    """

    def __init__(self, folder: Path) -> None:
        assert PROGRAM is not None, "URNN_NEEDS_BROWSER is set, but there is no Chromium"
        self.downloads = folder / "downloads"
        self.events: list[dict[str, Any]] = []
        self._buffer = b""
        self._count = 0
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        # it reads from descriptor 3 and writes to 4
        command = ["bash", "-c", f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}', "bash", PROGRAM]
        self._process = subprocess.Popen(
            [*command, *_FLAGS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.downloads.mkdir(parents=True)
        saving = {"downloadPath": str(self.downloads), "eventsEnabled": True}
        self.call("Browser.setDownloadBehavior", behavior="allow", **saving)

    def __enter__(self) -> Browser:
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call("Browser.close")
        self._process.wait(_PATIENCE)
        os.close(self._to)
        os.close(self._from)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """What the browser answers; meanwhile events are kept."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]

    def wait(self, method: str, **expected: Any) -> dict[str, Any]:
        """The parameters of the next event of this kind, taken from those that are kept."""
        while True:
            for event in self.events:
                if event["method"] == method and expected.items() <= event["params"].items():
                    self.events.remove(event)
                    return event["params"]
            self._read()

    def _read(self) -> dict[str, Any]:
        """The next message; an event is kept."""
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._from], [], [], max(until - time.monotonic(), 0))
            assert ready, "the browser says nothing"
            self._buffer += os.read(self._from, 1 << 20)
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message


class Tab:
    """A page in a browser, in a window of this width, with light or dark colours."""

    def __init__(
        self, browser: Browser, page: Path, width: int = 1400, *, dark: bool = False, height=1000
    ) -> None:
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        attached = browser.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        screen = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **screen)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        browser.wait("Page.loadEventFired")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """What the browser answers for this page."""
        return self.browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression, or what it promises."""
        how = {"awaitPromise": True, "returnByValue": True}
        answer = self.call("Runtime.evaluate", expression=expression, **how)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def audit(self) -> dict[str, Any]:
        """What axe and the browser find."""
        self.evaluate(files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
        return self.evaluate(_AUDIT)

    def click(self, selector: str) -> None:
        """Press the mouse's button on the middle of the first such element."""
        place = self.evaluate(
            f"""(async () => {{
              const one = document.querySelector({json.dumps(selector)});
              one.scrollIntoView({{block: "center"}});
              // the browser finds what is clicked in the frame that it drew last
              const drawn = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
              await new Promise(drawn);
              const box = one.getBoundingClientRect();
              return {{x: box.left + box.width / 2, y: box.top + box.height / 2}};
            }})()"""
        )
        self.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **place)

    def saved(self, selector: str) -> Path:
        """The file that a click on a link downloads."""
        time.sleep(0.3)  # Chromium drops a download that follows the one before faster than by hand
        self.click(selector)
        started = self.browser.wait("Browser.downloadWillBegin")
        self.browser.wait("Browser.downloadProgress", guid=started["guid"], state="completed")
        return self.browser.downloads / started["suggestedFilename"]

    def said(self) -> list[str]:
        """What the console and the browser's log have."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [json.dumps(e["params"]) for e in self._events() if e["method"] in kinds]

    def asked(self) -> list[str]:
        """The addresses that were asked for, but for the page itself and what it holds."""
        requests = [e for e in self._events() if e["method"] == "Network.requestWillBeSent"]
        urls = [event["params"]["request"]["url"] for event in requests]
        return [url for url in urls if not url.startswith(("file:", "data:", "blob:"))]

    def picture(self, path: Path, whole: bool = False) -> None:
        """The window, or the whole page, as a PNG file."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        path.write_bytes(base64.b64decode(data))

    def _events(self) -> list[dict[str, Any]]:
        self.evaluate("0")  # what was sent before has arrived
        return [e for e in self.browser.events if e.get("sessionId") == self._session]
