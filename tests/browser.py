"""A page in a real browser: what axe finds wrong, what the console says, what leaves the page."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
#: CI needs it, elsewhere tests skip
SKIPPED = BROWSER is None and not os.environ.get("URNN_NEEDS_BROWSER")

#: What is asked of the page once it is loaded; the answer is put into it.
_AUDIT = """
(async () => {
  const wide = [...document.querySelectorAll("table, pre, .plot svg, dl, p")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  const before = document.querySelectorAll(".plot [data-tip]").length;
  const box = document.querySelector(".tools input");
  box?.click();
  const off = document.querySelectorAll(".plot .off").length;
  box?.click();
  for (const details of document.querySelectorAll("details")) details.open = true;
  const open = [...document.querySelectorAll("table")].filter(
    (one) => one.getBoundingClientRect().right > innerWidth + 1);
  const found = await axe.run();
  const answer = {
    width: innerWidth,
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    scroll: document.documentElement.scrollWidth,
    cut: [...wide, ...open].map((one) => one.outerHTML.slice(0, 200)),
    tips: before,
    off,
    shown: [...document.querySelectorAll(".plot svg")].filter((one) => one.clientWidth).map(
      (one) => one.getAttribute("class")),
    violations: found.violations.map((one) => [one.id, one.nodes[0].html.slice(0, 200)]),
    passes: found.passes.length,
  };
  parent.postMessage(JSON.stringify(answer), "*");
})();
"""
#: A window of a browser has a least width, a frame has none.
_FRAME = """<!DOCTYPE html><html lang="en"><body><iframe style="width: {width}px; height: 900px;
  border: 0" src="audited.html"></iframe><pre id="answer"></pre><script>addEventListener("message",
  (event) => {{ document.getElementById("answer").textContent = event.data; }});</script></body>
</html>"""


def run(page: Path, folder: Path, dark: bool = False) -> tuple[str, str, list[str]]:
    """The page's elements after its script, what was logged, and all that was asked for by URL."""
    assert BROWSER is not None, "URNN_NEEDS_BROWSER is set, but there is no Chromium"
    log = folder / "network.json"
    command = [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += ["--disable-background-networking", "--disable-component-update", "--no-first-run"]
    command += [f"--user-data-dir={folder / 'profile'}", "--window-size=1500,1000"]
    command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    command += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # it asks for its own
    command += ["--enable-logging=stderr", f"--log-net-log={log}", "--virtual-time-budget=20000"]
    done = subprocess.run(
        [*command, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    said = "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)
    events = [event.get("params", {}) for event in json.loads(log.read_text())["events"]]
    asked = [
        event["url"]
        for event in events
        # what the browser asks for itself has no origin
        if event.get("initiator", "not an origin") != "not an origin"
        and event["url"].startswith(("http", "ws"))
    ]
    return done.stdout, said, asked


def audit(page: Path, folder: Path, width: int, dark: bool) -> dict[str, Any]:
    """What axe and the browser find of a page of this width."""
    text = page.read_text(encoding="utf-8")
    # or the page would not run our script
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    scripts = f"<script>{axe}</script><script>{_AUDIT}</script></body>"
    (folder / "audited.html").write_text(text.replace("</body>", scripts), encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(_FRAME.format(width=width), encoding="utf-8")
    elements, _, _ = run(frame, folder, dark)
    answer = re.search(r'<pre id="answer">(.+?)</pre>', elements, re.S)
    assert answer, "the page did not answer"
    return json.loads(html.unescape(answer[1]))
