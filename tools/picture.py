"""Make the README's picture of the status page: `keyform status --format html` on an emulator after some months.

The emulator's clock is turned, and keyform goes by it, as it goes by the API's. Between turns `keyform apply` runs as a
scheduled pipeline would run it. Needs a Chromium: KEYFORM_CHROMIUM, or one on the PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from support.browser import find_chromium, open_browser  # noqa: E402 - it is found by the line above

from reconciler.emulator import Emulator, EmulatorServer, VirtualClock, seed  # noqa: E402

PICTURE = ROOT / "docs" / "status-page.png"
WIDTH, HEIGHT = 1180, 1290
LARGEST = 200_000
DAY = 86400
TOKEN = "demo-token"  # noqa: S105 - of the emulator
HEAD = """\
version: 1
stack: inference-prod
project: 1234
sinks:
  local: {type: dotenv, path: secrets.env}
defaults:
  sink: local
  rotation: {every: 60d, overlap: 7d}
deployments:
  llama3: {auth: required}
  playground: {auth: open}
keys:
  search-api: {deployments: [llama3, embedder], description: "Query expansion, team search"}
"""
SECOND = """\
  payments-api: {deployments: [llama3, whisper], description: "Checkout summaries, team payments"}
  support-bot: {deployments: [llama3], applications: [webui], rotation: {every: 30d, lifetime: 45d}}
"""
THIRD = """\
  batch-jobs: {deployments: [whisper], description: Nightly transcripts, rotation: {every: never}}
  contractor-eval: {deployments: [whisper], expires_at: 2026-12-04, rotation: {every: never}}
"""
LIVE = {
    "tokens": {TOKEN: [1234]},
    "projects": {
        1234: {
            "api_keys": [{"name": "made-in-portal"}],
            "deployments": [
                {"name": "embedder", "image": "example/embedder", "api_keys": ["made-in-portal"]},
                {"name": "llama3", "image": "example/llama3", "api_keys": ["made-in-portal"]},
                {"name": "playground", "image": "example/tiny"},
                {"name": "whisper", "image": "example/whisper", "api_keys": ["made-in-portal"]},
            ],
            "applications": [
                {
                    "name": "webui",
                    "application_name": "open-webui",
                    "api_keys": ["made-in-portal"],
                    "components": {"web": {"exposed": True}},
                }
            ],
        }
    },
}


def main() -> int:
    """Let some months pass, and take the picture."""
    program = find_chromium()
    if program is None:
        raise SystemExit("The picture needs a Chromium: install one, or name it in KEYFORM_CHROMIUM.")
    clock = VirtualClock(datetime(2026, 9, 17, 8, 0, tzinfo=UTC))
    emulator = Emulator(clock=clock, seed=1)
    seed(emulator, LIVE)
    with EmulatorServer(emulator) as server, tempfile.TemporaryDirectory(prefix="keyform-picture-") as name:
        folder = Path(name)
        file = folder / "keyform.yaml"
        file.write_text(HEAD, encoding="utf-8")
        keyform(folder, server.base_url, "apply", "--auto-approve")
        for days, more in ((18, SECOND), (26, THIRD), (18, ""), (3, "")):
            clock.advance(days * DAY)
            file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
            keyform(folder, server.base_url, "apply", "--auto-approve")
        keyform(folder, server.base_url, "status", "--format", "html", "--out", "status.html")
        with open_browser(program) as browser:
            browser.show(folder / "status.html", width=WIDTH, height=HEIGHT)
            picture = browser.picture(longest=HEIGHT)
    if len(picture) > LARGEST:
        raise SystemExit(f"The picture has {len(picture)} bytes: more than {LARGEST}.")
    PICTURE.write_bytes(picture)
    print(f"{PICTURE.relative_to(ROOT)}: {len(picture)} bytes")
    return 0


def keyform(folder: Path, base_url: str, *argv: str) -> None:
    """Run keyform for real."""
    env = {**os.environ, "GCORE_API_KEY": TOKEN, "GCORE_BASE_URL": base_url, "CI": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", *argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"keyform {' '.join(argv)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")


if __name__ == "__main__":
    sys.exit(main())
