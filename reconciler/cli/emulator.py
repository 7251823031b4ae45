"""`keyform emulator`: the API on this machine."""

from __future__ import annotations

import argparse

from reconciler.cli.terminal import Terminal
from reconciler.errors import ExtraMissing, KeyformError

TOKEN = "demo-token"  # noqa: S105 - of an emulator, and printed for its user
PROJECT = 1234


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until Ctrl-C."""
    from reconciler.emulator import Emulator, SeedError, StoreError, load_seed, seed, serve

    try:
        data = load_seed(args.seed) if args.seed else {}
        tokens = {} if data.get("tokens") else {TOKEN: [PROJECT]}
        emulator = Emulator(args.db, tokens=tokens, task_seconds=args.task_seconds)
        seed(emulator, data)
    except (SeedError, StoreError) as error:
        raise KeyformError(str(error)) from None

    def ready(base_url: str) -> None:
        token, given = next(iter((data.get("tokens") or {TOKEN: [PROJECT]}).items()))
        projects = given["projects"] if isinstance(given, dict) else given
        terminal.say(
            f"The emulator answers at {base_url} until Ctrl-C. In another shell:",
            "",
            f"  export GCORE_BASE_URL={base_url}",
            f"  export GCORE_API_KEY={token}",
            f"  export GCORE_CLOUD_PROJECT_ID={next(iter(projects), PROJECT)}",
        )

    try:
        serve(emulator, args.host, args.port, ready)
    except ImportError:
        raise extra_missing() from None
    except OSError as error:
        raise KeyformError(
            f"The emulator cannot listen on {args.host}:{args.port}: {error.strerror or error}.",
            way_out="give another --port; 0 takes a free one",
        ) from None
    return 0


def extra_missing() -> ExtraMissing:
    """The message if the emulator's libraries are missing."""
    return ExtraMissing("The emulator needs its extra.", way_out="pip install 'keyform[emulator]'")
