"""`keyform verify`: on the data plane, whether endpoints require keys, and accept the secrets in the sinks."""

from __future__ import annotations

import argparse

from reconciler.cli.session import open_session
from reconciler.cli.terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Print the findings; exit code 0 if and only if everything is as declared, as far as it can be checked at all."""
    from reconciler.verify import verify

    with open_session(args, terminal) as session:
        found = verify(
            session.desired,
            session.look(),
            session.api,
            session.sinks,
            session.effects,
            timeout=args.timeout,
            parallelism=args.parallelism,
            tell=terminal.tell,
            learn=terminal.redactor.learn,
        )
    if args.json:
        from reconciler.report.verification_json import verification_to_json

        terminal.show(verification_to_json(found), is_json=True)
    else:
        from reconciler.report.verification_table import render_verification

        terminal.show(render_verification(terminal.masked(found), colour=terminal.colour, width=terminal.width))
    return 0 if found.as_declared else 1
