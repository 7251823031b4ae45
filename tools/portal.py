"""Make docs/portal.md of the rows that the tests of tests/cli/test_portal.py carry: `make portal`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))

from cli import test_portal
from support.portal import rows_of, write_page

PAGE = Path(__file__).resolve().parent.parent / "docs" / "portal.md"


def main() -> int:
    """Write the page."""
    rows = rows_of(test_portal)
    PAGE.write_text(write_page(rows), encoding="utf-8")
    print(f"docs/portal.md: {len(rows)} steps")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
