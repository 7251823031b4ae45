"""Variables that others own are refused, whatever template makes them; those of the clients of the keys are free."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks.stage import DOTENV, record

from reconciler.errors import SinkError
from reconciler.model import Secret
from reconciler.sinks.reserved import who_owns
from reconciler.sinks.templates import fill

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PATH",
            "HOME",
            "IFS",
            "PS1",
            "PS4",
            "ENV",
            "BASH_ENV",
            "BASH_FUNC_X",
            "SHELLOPTS",
            "CDPATH",
            "TERM",
            "LC_ALL",
        ),
        *(
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PERL5LIB",
            "RUBYOPT",
        ),
        *(
            "NODE_OPTIONS",
            "JAVA_TOOL_OPTIONS",
            "_JAVA_OPTIONS",
            "GIT_DIR",
            "GIT_SSH_COMMAND",
            "SSH_AUTH_SOCK",
            "EDITOR",
        ),
        *("HTTPS_PROXY", "http_proxy", "no_proxy", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "TMPDIR"),
        *("GCORE_API_KEY", "GCORE_BASE_URL", "GCORE_CLOUD_PROJECT_ID", "KEYFORM_VAR_X", "KEYFORM_API", "AWS_PROFILE"),
        *("VAULT_TOKEN", "BAO_ADDR", "GITHUB_TOKEN", "GITLAB_TOKEN", "CI", "CI_JOB_TOKEN", "OPENAI_BASE_URL"),
    ],
)
def test_what_others_own_is_known(name: str) -> None:
    assert who_owns(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "PAYMENTS_API",
            "OPENAI_API_KEY",
            "SEARCH",
            "PATHS",
            "HOME_PAGE",
            "TERMS",
            "GCORE_PAYMENTS",
            "GCORE_SHOP_TOKEN",
        ),
        *("KEYFORM_PAYMENTS", "CIRCUS", "LDAP_SYNC", "AWESOME", "TF_VAR_PAYMENTS", "NODE_API", "USERS", "LINES_API"),
    ],
)
def test_what_is_free_is_free(name: str) -> None:
    assert who_owns(name) == ""


@pytest.mark.parametrize(("shell", "names"), [("bash", "compgen -v"), ("zsh", "print -l ${(k)parameters}")])
def test_whatever_a_shell_sets_by_itself_is_known(shell: str, names: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell}")
    done = subprocess.run(
        [shell, "-c", names], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True
    )
    found = [name for name in done.stdout.split() if re.fullmatch(r"[A-Z][A-Z0-9_]*", name)]
    assert "PATH" in found
    assert [name for name in found if not who_owns(name)] == []


def test_whatever_keyform_reads_is_known() -> None:
    """By the README's list."""
    readme = (ROOT / "README.md").read_text()
    listed = set(re.findall(r"(?m)^\| `([A-Z][A-Z0-9_]+)`", readme))
    assert {"GCORE_API_KEY", "HOME"} <= listed
    assert [name for name in sorted(listed) if not who_owns(name)] == []


@given(key=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?", fullmatch=True))
def test_the_template_that_is_proposed_makes_free_names_alone(key: str) -> None:
    assert who_owns(fill("INFERENCE_{KEY}", key=key)) == ""


@pytest.mark.parametrize(
    ("key", "template", "variable"),
    [
        ("path", "{KEY}", "PATH"),
        ("ld-preload", "{KEY}", "LD_PRELOAD"),
        ("gcore", "{KEY}_API_KEY", "GCORE_API_KEY"),
        ("gcore-api", "{KEY}_KEY", "GCORE_API_KEY"),
        ("proxy", "http_{KEY}", "http_PROXY"),
    ],
)
def test_the_sink_refuses_it_whatever_the_template(tmp_path: Path, key: str, template: str, variable: str) -> None:
    path = tmp_path / "secrets.env"
    sink = DOTENV.open(path, variable=template)
    for act in (lambda: sink.probe([key]), lambda: sink.write(record(key), Secret("abc"))):
        with pytest.raises(SinkError) as refusal:
            act()
        assert f"the key {key} would give the variable {variable}, which " in refusal.value.message
        assert refusal.value.way_out == "Set `variable` for this sink, such as INFERENCE_{KEY}_KEY."
    assert not path.exists()
    free = DOTENV.open(path, variable="INFERENCE_{KEY}")
    free.probe([key])
    free.write(record(key), Secret("abc"))
    assert set(free.read([])) == {key}
