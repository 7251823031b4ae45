"""Make the README's pictures of pages: a status, and the plan of a pull request, on an emulator after some months.

The emulator's clock is turned, and keyform goes by it, as it goes by the API's. Between turns `keyform apply` runs as a
scheduled pipeline would run it. Then somebody works in the portal, time passes, and a pull request changes the file.
Needs git and a Chromium: KEYFORM_CHROMIUM, or one on the PATH.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tools")]

from png import shrink  # noqa: E402 - it is found by the line above
from support.browser import Browser, find_chromium, open_browser  # noqa: E402 - (as above)

from reconciler.emulator import Emulator, EmulatorServer, Request, VirtualClock, seed  # noqa: E402

DOCS = ROOT / "docs"
LARGEST = 250_000
DAY = 86400
WHO = {"NAME": "Platform team", "EMAIL": "platform@example.com", "DATE": "2026-11-21T08:00:00Z"}
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
  contractor-eval: {deployments: [sandbox], expires_at: 2026-12-18, rotation: {every: never}}
  reports: {deployments: [llama3], description: "Weekly report, team data"}
"""
PULL_REQUEST = (
    ("  batch-jobs: {", "  nightly-transcripts: {"),
    ("deployments: [llama3, embedder]", "deployments: [llama3, embedder, reranker]"),
    ("  contractor-eval: {deployments: [sandbox], expires_at: 2026-12-18, rotation: {every: never}}\n", ""),
    ("  llama3: {auth: required}", "  llama3: {auth: required, exclusive: true}"),
    ("  playground: {auth: open}\n", "  playground: {auth: open}\n  sandbox: {auth: open}\n"),
    ("keys:\n", "moved:\n  - {from: batch-jobs, to: nightly-transcripts}\nkeys:\n"),
)
"""What it replaces in the file."""
LIVE: dict[str, Any] = {
    "tokens": {TOKEN: [1234]},
    "projects": {
        1234: {
            "api_keys": [{"name": "made-in-portal"}],
            "deployments": [
                {"name": "embedder", "image": "example/embedder", "api_keys": ["made-in-portal"]},
                {"name": "llama3", "image": "example/llama3", "api_keys": ["made-in-portal"]},
                {"name": "playground", "image": "example/tiny"},
                {"name": "reranker", "image": "example/reranker", "api_keys": ["made-in-portal"]},
                {"name": "sandbox", "image": "example/tiny"},
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


@dataclass(frozen=True)
class Picture:
    """What is taken of a page: the window, and how far down."""

    name: str
    page: str
    width: int
    height: int
    dark: bool = False


PICTURES = (
    Picture("status-page", "status", 1180, 1400),
    Picture("plan-page", "plan", 1180, 2600),
    Picture("plan-page-phone", "plan", 390, 1500, dark=True),
)


def main() -> int:
    """Let some months pass, and take the pictures."""
    program = find_chromium()
    if program is None:
        raise SystemExit("The pictures need a Chromium: install one, or name it in KEYFORM_CHROMIUM.")
    with tempfile.TemporaryDirectory(prefix="keyform-picture-") as name:
        folder = Path(name)
        make_pages(folder)
        with open_browser(program) as browser:
            for picture in PICTURES:
                take(browser, folder / f"{picture.page}.html", picture)
    return 0


def make_pages(folder: Path) -> None:
    """A status page and a plan's, as files."""
    clock = VirtualClock(datetime(2026, 9, 17, 8, 0, tzinfo=UTC))
    emulator = Emulator(clock=clock, seed=1)
    seed(emulator, LIVE)
    with EmulatorServer(emulator) as server:
        file = folder / "keyform.yaml"
        file.write_text(HEAD, encoding="utf-8")
        keyform(folder, server.base_url, "apply", "--auto-approve")
        for days, more in ((18, SECOND), (26, THIRD), (18, ""), (3, "")):
            clock.advance(days * DAY)
            file.write_text(file.read_text(encoding="utf-8") + more, encoding="utf-8")
            keyform(folder, server.base_url, "apply", "--auto-approve")
        keyform(folder, server.base_url, "status", "--format", "html", "--out", "status.html")
        git(folder, "init", "--quiet", "--initial-branch=main")
        (folder / ".gitignore").write_text("secrets.env*\n", encoding="utf-8")
        git(folder, "add", "keyform.yaml", ".gitignore")
        git(folder, "commit", "--quiet", "--message=The stack")
        clock.advance(14 * DAY)
        work_in_portal(emulator)
        propose(file)
        page = keyform(folder, server.base_url, "plan", "--base", "main", "--format", "html")
        (folder / "plan.html").write_text(page, encoding="utf-8")


def work_in_portal(emulator: Emulator) -> None:
    """Unlink one key, and delete another one."""
    inference = "/cloud/v3/inference"
    webui = {"api_keys": ["made-in-portal"]}
    llama3 = {"api_keys": [name for name in emulator.api_keys_of(1234, "deployment", "llama3") if name != "reports"]}
    for method, path, body in (
        ("PATCH", f"{inference}/applications/1234/deployments/webui", webui),
        ("PATCH", f"{inference}/1234/deployments/llama3", llama3),
        ("DELETE", f"{inference}/1234/api_keys/reports", None),
    ):
        answer = emulator.respond(Request.build(method, path, token=TOKEN, json_body=body))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path}: {answer.status} {answer.body.decode()}")


def propose(file: Path) -> None:
    """Change the file as the pull request does."""
    text = file.read_text(encoding="utf-8")
    for before, after in PULL_REQUEST:
        if before not in text:
            raise SystemExit(f"The file lacks {before!r}.")
        text = text.replace(before, after)
    file.write_text(text, encoding="utf-8")


def take(browser: Browser, page: Path, picture: Picture) -> None:
    """Take a picture, unless it is too large."""
    browser.show(page, width=picture.width, height=picture.height, dark=picture.dark)
    data = shrink(browser.picture(longest=picture.height))
    path = DOCS / f"{picture.name}.png"
    if len(data) > LARGEST:
        raise SystemExit(f"{path.name} has {len(data)} bytes: more than {LARGEST}.")
    path.write_bytes(data)
    print(f"{path.relative_to(ROOT)}: {len(data)} bytes")


def git(folder: Path, *argv: str) -> None:
    who = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in WHO.items()}
    env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *argv], cwd=folder, env=env, check=True)


def keyform(folder: Path, base_url: str, *argv: str) -> str:
    """Run keyform for real; what it prints."""
    env = {**os.environ, "GCORE_API_KEY": TOKEN, "GCORE_BASE_URL": base_url, "CI": "1"}
    ran = subprocess.run(
        [sys.executable, "-m", "reconciler", *argv], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"keyform {' '.join(argv)} ended with {ran.returncode}:\n{ran.stdout}{ran.stderr}")
    return ran.stdout


if __name__ == "__main__":
    sys.exit(main())
