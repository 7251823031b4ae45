"""What is shown of a failing command's words: no secret, be it today's or an earlier one, in any form."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from sinks.command_stage import open_command, refused, save, script
from sinks.stage import CANARY, owner

from reconciler.effects import System
from reconciler.model import Place, Secret, SinkSettings
from reconciler.redaction import Redactor
from reconciler.sinks import open_sinks

ECHOES = {
    "as it is": "s",
    "in base64": "base64.b64encode(s.encode()).decode()",
    "within base64": "base64.b64encode(b'{\"k\":\"' + s.encode() + b'\"}').decode()",
    "in URLs": "quote('k=' + s + '&', safe='')",
    "in JSON": "json.dumps({'k': s})",
    "in hexadecimal": "s.encode().hex()",
    "in pieces": "' '.join(s[i:i+8] for i in range(0, len(s), 8))",
    "between control characters": "'\\x1b[31m'.join(s)",
    "over and over": "'\\n'.join([s] * 2000)",
    "behind much else": "'x ' * 5000 + s",
    "before much else": "s + ' y' * 5000",
}


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("how", ECHOES.values(), ids=ECHOES)
def test_a_failing_command_that_repeats_the_secret_does_not_get_it_shown(tmp_path: Path, how: str, stream: str) -> None:
    name = script(
        tmp_path,
        "import base64, json, sys\nfrom urllib.parse import quote\n"
        f"s = sys.stdin.read()\nprint('refused:', {how}, file=sys.{stream})\nsys.exit(1)\n",
    )
    error = refused(lambda: save(open_command(tmp_path, write=(name,))))
    assert quote(CANARY) not in error.message
    assert "status 1" in error.message
    assert len(error.message) < 400
    assert error.message.isprintable()


def test_an_earlier_secret_that_nobody_knows_any_more_is_not_shown_either(tmp_path: Path) -> None:
    for earlier in ("0ldS3cretOfBefore", "qLyjWDarjtT1zdp7dc", "a1b2c3d4-E5F6_g7h8"):
        sink = open_command(
            tmp_path, write=("true",), remove=("sh", "-c", f"echo could not drop {earlier} >&2; exit 1")
        )
        error = refused(lambda sink=sink: sink.remove("payments-api"))
        assert error.message == "sink pager: sh ended with status 1, saying: could not drop (sensitive value)"


def test_a_persons_words_are_shown_and_their_end_matters_most(tmp_path: Path) -> None:
    words = "Traceback: " + "line of payments-api-g2 in eu-west-1, " * 30 + "PermissionError: no"
    error = refused(lambda: save(open_command(tmp_path, write=("sh", "-c", f"echo '{words}' >&2; exit 1"))))
    said = error.message.split("saying: ")[1]
    assert said.startswith("…")
    assert len(said) == 300
    assert said.endswith("line of payments-api-g2 in eu-west-1, PermissionError: no")


def test_what_the_run_knows_to_be_secret_is_masked_in_a_programs_words_too(tmp_path: Path) -> None:
    name = script(tmp_path, "import sys\nprint('refused for hunter-two', file=sys.stderr)\nsys.exit(1)\n")
    settings = SinkSettings("pager", "command", {"write": (name,)}, Place(str(tmp_path / "keyform.yaml")))
    redactor = Redactor(Secret("hunter-two"))
    sink = open_sinks([settings], owner=owner(), effects=System(), redactor=redactor)["pager"]
    assert "saying: refused for (sensitive value)" in refused(lambda: save(sink)).message
