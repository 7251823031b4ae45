"""Send the emulator many requests of any kind, in many modes and over HTTP, and count those answered with a 5xx.

python tests/emulator/fuzz.py --examples 20000
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))


def main() -> int:
    """Print the figures; 1 when a request got a 5xx, or one that HTTP allows got no answer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--examples", type=int, default=20_000, help="so many samples: sequences of up to 6 requests each"
    )
    args = parser.parse_args()
    os.environ["KEYFORM_FUZZ_EXAMPLES"] = str(args.examples)
    from emulator import test_fuzz
    from support.requests_of_any_kind import tally

    begun, failed = time.monotonic(), False
    for test in (
        test_fuzz.test_in_no_mode_gets_a_sequence_of_requests_a_5xx_or_wedges_the_emulator,
        test_fuzz.test_over_http_no_bytes_get_a_5xx_and_each_request_gets_an_answer,
    ):
        try:
            test()
        except AssertionError as error:
            failed = True
            sys.stderr.write(f"{error}\n" + "\n".join(getattr(error, "__notes__", ())) + "\n")
    figures = {"requests": 0, "answered with a 5xx": 0, **tally, "seconds": round(time.monotonic() - begun)}
    sys.stdout.write(json.dumps(figures) + "\n")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
