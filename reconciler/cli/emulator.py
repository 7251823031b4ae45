"""`keyform emulator`: the API on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from reconciler.cli.terminal import Terminal
from reconciler.errors import ExtraMissing, KeyformError

TOKEN = "demo-token"  # noqa: S105 - of an emulator, and printed for its user
PROJECT = 1234


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Serve until Ctrl-C, or list the modes."""
    from reconciler.emulator import Emulator, SeedError, StoreError, load_seed, seed, serve
    from reconciler.emulator.mode_texts import ModeError, read_modes

    if args.list_modes:
        terminal.say(*list_modes(terminal.width))
        return 0
    try:
        modes = read_modes(args.modes)
        data = load_seed(args.seed, modes) if args.seed else {}
        tokens = {} if data.get("tokens") else {TOKEN: [PROJECT]}
        emulator = Emulator(args.db, modes=modes, tokens=tokens, task_seconds=args.task_seconds)
        seed(emulator, data)
    except ModeError as error:
        raise KeyformError(error.message, way_out=error.way_out) from None
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


def list_modes(width: int) -> Iterator[str]:
    """Each mode with its values, the default first, and what they mean; `width` is in characters."""
    from textwrap import wrap

    from reconciler.emulator.mode_texts import describe_modes

    modes = describe_modes()
    yield "Where the API's documents are silent, the emulator behaves in the likeliest way. Choose another with"
    yield "`--mode NAME=VALUE`. The first value is the default."
    for is_liberty in (False, True):
        yield ""
        if is_liberty:
            yield "In these, keyform cannot do everything that it is asked, and reports what it could not do:"
            yield ""
        for mode in (mode for mode in modes if mode.is_liberty is is_liberty):
            yield f"  {mode.name} = {' | '.join(map(str, mode.values))}"
            yield from wrap(mode.text, width, initial_indent="      ", subsequent_indent="      ")


def extra_missing() -> ExtraMissing:
    """The message if the emulator's libraries are missing."""
    return ExtraMissing("The emulator needs its extra.", way_out="pip install 'keyform[emulator]'")
