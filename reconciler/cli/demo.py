"""`keyform demo`: run a guided demo on a built-in emulator. Nothing leaves this machine."""

from __future__ import annotations

import argparse
import os
import re
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from reconciler.cli.emulator import PROJECT, TOKEN, extra_missing
from reconciler.cli.session import Interruption
from reconciler.cli.terminal import Terminal
from reconciler.effects import System
from reconciler.errors import Interrupted, KeyformError
from reconciler.model import EndpointKind, EndpointRef, Secret

LIVE: dict[str, Any] = {
    "tokens": {TOKEN: [PROJECT]},
    "projects": {
        PROJECT: {
            "api_keys": [{"name": "made-in-portal", "description": "somebody's own"}],
            "deployments": [
                {"name": "llama3", "image": "demo/llama3", "api_keys": ["made-in-portal"]},
                {"name": "whisper", "image": "demo/whisper", "api_keys": ["made-in-portal"]},
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
"""The live state before the story begins."""

FIRST = """\
version: 1
stack: demo
project: 1234

sinks:
  local: {type: dotenv, path: secrets.env}

defaults:
  sink: local

keys:
  payments-api:
    description: Checkout summaries, owned by team payments
    deployments: [llama3, whisper]
  batch-jobs:
    expires_at: 2099-06-30
    deployments: [llama3]
    applications: [webui]
"""
SECOND = FIRST.replace("    deployments: [llama3, whisper]\n", "    deployments: [llama3]\n").replace(
    "  batch-jobs:\n    expires_at: 2099-06-30\n    deployments: [llama3]\n    applications: [webui]\n", ""
)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Tell the story; exit code 0 if every step of it ended as it should."""
    from reconciler.emulator import Emulator, EmulatorServer, seed

    emulator = Emulator(task_seconds=0.6)
    seed(emulator, LIVE)
    try:
        server = EmulatorServer(emulator)
    except ImportError:
        raise extra_missing() from None
    with server, working_folder(args.keep):
        env = {
            **{name: value for name, value in terminal.env.items() if not name.startswith("GCORE_")},
            "GCORE_API_KEY": TOKEN,
            "GCORE_BASE_URL": server.base_url,
        }
        Story(terminal, env, flags=["--no-color"] if args.no_color else []).tell()
    return 0


@contextmanager
def working_folder(keep: str | None) -> Iterator[None]:
    """Work in a temporary folder, and leave nothing behind unless asked to."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="keyform-demo-") as temporary:
        folder = Path(keep) if keep else Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "keyform.yaml").exists():
            raise KeyformError(f"{folder} already has a keyform.yaml.", way_out="give --keep an empty folder")
        os.chdir(folder)
        try:
            yield
        finally:
            os.chdir(before)


@contextmanager
def noting_signals() -> Iterator[list[int]]:
    """The signals that come within the block, by number."""
    noted: list[int] = []
    before = {number: signal.getsignal(number) for number in Interruption.SIGNALS}
    taken = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}
    for number in taken:
        signal.signal(number, lambda came, _: noted.append(came))
    try:
        yield noted
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)


class Story:
    """The demo's steps, each with its command as a person would type it."""

    def __init__(self, terminal: Terminal, env: Mapping[str, str], *, flags: list[str]) -> None:
        self.terminal = terminal
        self.env = env
        self.flags = flags

    def tell(self) -> None:
        """From two keys in a file to a working call, and back to one key."""
        self.say(
            "A stack is a file in git: it declares two keys, and what each one opens. (The API is"
            " an emulator on this machine.)"
        )
        self.write(FIRST)
        self.keyform("plan")
        self.say("Apply it. The API shows each secret once, and keyform writes it straight to the sink.")
        self.keyform("apply", "--auto-approve")
        self.show_sink()
        self.say("Call the deployment without a key, then with the secret from the sink.")
        self.call("llama3", None)
        self.call("llama3", "PAYMENTS_API_KEY")
        self.say("Plan again: nothing to do. The live API is the state.")
        self.keyform("plan")
        self.say("A pull request unbinds payments-api from whisper, and removes batch-jobs.")
        batch = self.secrets()["BATCH_JOBS_KEY"]
        self.write(SECOND)
        self.keyform("apply", "--auto-approve")
        self.say("Its secret no longer works. The other key, and the key made in the portal, still do.")
        self.call("llama3", "BATCH_JOBS_KEY", secret=batch, expect=401)
        self.call("llama3", "PAYMENTS_API_KEY")
        self.keyform("status")
        self.keyform("plan")

    def say(self, text: str) -> None:
        """A line of the story."""
        self.terminal.show(self.paint("1;36", f"\n# {text}"))

    def prompt(self, command: str) -> None:
        """A command, as typed."""
        self.terminal.show(self.paint("1", f"\n$ {command}"))

    def paint(self, style: str, text: str) -> str:
        """The text in a style, where colours are shown."""
        return f"\x1b[{style}m{text}\x1b[0m" if self.terminal.colour else text

    def write(self, text: str) -> None:
        """Write keyform.yaml, and show it."""
        Path("keyform.yaml").write_text(text, encoding="utf-8")
        self.prompt("cat keyform.yaml")
        self.terminal.show(text)

    def keyform(self, *argv: str) -> None:
        """Run the real keyform."""
        from reconciler.cli.main import main

        self.prompt(f"keyform {' '.join(argv)}")
        with noting_signals() as noted:
            code = main([*argv, *self.flags], self.env)
        if code == Interrupted.exit_code:
            raise KeyboardInterrupt
        if noted:  # running steps were finished, and maybe that was everything
            raise Interrupted("The demo was interrupted.")
        if code:
            raise KeyformError(f"The demo failed: keyform {argv[0]} ended with exit code {code}.")

    def secrets(self) -> dict[str, Secret]:
        """What the sink holds, by variable."""
        text = Path("secrets.env").read_text(encoding="utf-8")
        return {name: Secret(value) for name, value in re.findall(r"^(\w+)=[\"']?(.+?)[\"']?$", text, re.MULTILINE)}

    def show_sink(self) -> None:
        """The sink's file, its secrets masked."""
        self.prompt("stat -c 'mode %a' secrets.env; sed 's/=.*/=(sensitive value)/' secrets.env")
        mode = Path("secrets.env").stat().st_mode & 0o777
        masked = re.sub(r"=.*", "=(sensitive value)", Path("secrets.env").read_text(encoding="utf-8"))
        self.terminal.show(f"mode {mode:o}\n{masked}")

    def call(self, deployment: str, variable: str | None, *, secret: Secret | None = None, expect: int = 0) -> None:
        """Call the model, and check the answer (401 without a key, 200 with one)."""
        from reconciler.gcore.dataplane import ask_model

        if variable and secret is None:
            secret = self.secrets()[variable]
        header = f' -H "X-API-Key: ${variable}"' if variable else ""
        self.prompt(f"curl{header} …/{deployment}/v1/chat/completions")
        with closing(System()) as effects:
            reply = ask_model(effects, self.address_of(deployment, effects), secret, model=deployment, prompt="Hello?")
        self.terminal.say(f"{reply.status} {'Unauthorized' if reply.status == 401 else reply.text}")
        if reply.status != (expect or (200 if secret else 401)):
            raise KeyformError(f"The demo failed: {deployment} answered with {reply.status}.")

    def address_of(self, deployment: str, effects: System) -> str:
        """Where the API says that the deployment answers."""
        from reconciler.gcore import GcoreApi

        api = GcoreApi(
            base_url=self.env["GCORE_BASE_URL"],
            token=Secret(self.env["GCORE_API_KEY"]),
            project=PROJECT,
            effects=effects,
        )
        reading = api.read_endpoint(EndpointRef(EndpointKind.DEPLOYMENT, deployment))
        if reading is None or not reading.endpoint.addresses:
            raise KeyformError(f"The demo failed: {deployment} has no address.")
        return reading.endpoint.addresses[0]
