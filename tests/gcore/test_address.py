"""Where the token goes, and what is loaded before it goes anywhere."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.http_fakes import TOKEN, Hasty, ScriptedEffects, answer, key_json, make_api, page_json, scripted_api

from reconciler import __version__
from reconciler.errors import ConfigError, CredentialsMissing
from reconciler.loopback import Whereabouts, locate

EMPTY = answer(200, page_json())


@pytest.mark.parametrize(
    ("base_url", "sent_to"),
    [
        ("https://api.gcore.com", "https://api.gcore.com/cloud/v3/inference/1234/api_keys"),
        ("https://api.gcore.com/", "https://api.gcore.com/cloud/v3/inference/1234/api_keys"),
        (" https://proxy.example/gcore/ \n", "https://proxy.example/gcore/cloud/v3/inference/1234/api_keys"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/cloud/v3/inference/1234/api_keys"),
        ("http://localhost:8080", "http://localhost:8080/cloud/v3/inference/1234/api_keys"),
        ("http://[::1]:8080", "http://[::1]:8080/cloud/v3/inference/1234/api_keys"),
    ],
)
def test_a_base_url_may_have_a_path_and_plain_http_only_to_this_machine(base_url: str, sent_to: str) -> None:
    effects = ScriptedEffects(EMPTY)
    make_api(effects, base_url=base_url).check()
    assert str(effects.sent[0].url) == f"{sent_to}?limit=1&offset=0"


@pytest.mark.parametrize(
    ("base_url", "host"),
    [
        (" https://API.gcore.com:443/ ", "api.gcore.com"),
        ("https://proxy.example:8443/gcore", "proxy.example:8443"),
        ("http://localhost:80", "localhost"),
        ("http://127.0.0.1:443", "127.0.0.1:443"),
        ("http://[::1]:8080", "[::1]:8080"),
    ],
)
def test_a_host_is_named_with_its_port_where_that_is_not_the_schemes_own(base_url: str, host: str) -> None:
    assert make_api(ScriptedEffects(EMPTY), base_url=base_url).host == host


@pytest.mark.parametrize(
    ("base_url", "trouble"),
    [
        ("", "is not a URL that begins with https:// and names a host"),
        ("api.gcore.com", "is not a URL that begins with https:// and names a host"),
        ("ftp://api.gcore.com", "is not a URL that begins with https:// and names a host"),
        ("https://", "is not a URL that begins with https:// and names a host"),
        ("https://user:hunter2@api.gcore.com", "contains a user name or a password: set the token in GCORE_API_KEY"),
        ("https://hunter2@api.gcore.com", "contains a user name or a password: set the token in GCORE_API_KEY"),
        ("https://user:hunter2/x@api.gcore.com", "is not a URL"),
        ("https://api.gcore.com?token=hunter2", "has a query or a fragment"),
        ("https://api.gcore.com/#hunter2", "has a query or a fragment"),
        ("https://[api.gcore.com", "is not a URL"),
        ("https://api gcore.com", "is not a URL"),
        (
            "http://api.gcore.com",
            "would send the token unencrypted to api.gcore.com: plain http is allowed for this machine only",
        ),
        (
            "http://127.0.0.1.example",
            "would send the token unencrypted to 127.0.0.1.example: plain http is allowed for this machine only",
        ),
    ],
)
def test_a_base_url_that_a_token_must_not_go_to_is_refused(base_url: str, trouble: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_api(ScriptedEffects(EMPTY), base_url=base_url)
    assert caught.value.message == f"GCORE_BASE_URL {trouble}."
    assert "hunter2" not in caught.value.diagnostics()
    assert caught.value.__context__ is None


@given(st.text(max_size=20) | st.text(max_size=20).map(lambda tail: f"https://{tail}"))
def test_no_base_url_raises_anything_but_an_error_of_ours(base_url: str) -> None:
    effects, refused = ScriptedEffects(EMPTY), ""
    try:
        make_api(effects, base_url=base_url).check()
    except ConfigError as error:
        refused = error.message
    assert refused.startswith("GCORE_BASE_URL ") != (len(effects.sent) == 1), "refused, or asked"


@pytest.mark.parametrize("token", ["two words", "broken-off\n", "tab\t", "žeton"])
def test_a_token_that_cannot_stand_in_a_header_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(CredentialsMissing) as caught:
        make_api(ScriptedEffects(EMPTY), token=token)
    assert token.strip() not in caught.value.diagnostics()


def test_a_request_says_who_asks_and_what_for() -> None:
    api, effects = scripted_api(EMPTY)
    api.list_keys()
    headers = effects.sent[0].headers
    assert headers["authorization"] == f"APIKey {TOKEN}"
    assert headers["user-agent"] == f"keyform/{__version__}"
    assert headers["accept"] == "application/json"
    assert headers["accept-encoding"] == "gzip"


def test_what_is_written_is_compact_json_in_utf_8() -> None:
    api, effects = scripted_api(answer(200, key_json(description="Zürich", secret="s")))
    api.create_key("payments", "Zürich", None)
    assert effects.sent[0].headers["content-type"] == "application/json"
    assert effects.sent[0].content == '{"name":"payments","description":"Zürich"}'.encode()


def test_cookies_play_no_part() -> None:
    cookie = answer(200, key_json(), headers={"set-cookie": "session=1; Path=/"})
    api, effects = scripted_api(cookie)
    api.get_key("payments")
    api.get_key("payments")
    assert [sent.headers.get("cookie") for sent in effects.sent] == [None, None]


def test_a_port_where_nobody_listens_is_told_as_such() -> None:
    effects = Hasty()
    with pytest.raises(Exception, match=r"127\.0\.0\.1:1 could not be reached to list keys: it refused the connection"):
        make_api(effects, base_url="http://127.0.0.1:1").check()
    effects.close()


def test_each_of_many_threads_is_given_its_own_answers() -> None:
    start = threading.Barrier(8)

    def respond(request: httpx.Request) -> httpx.Response:
        return answer(200, key_json(request.url.path.rpartition("/")[2]))

    effects = ScriptedEffects(respond=respond)
    api = make_api(effects)

    def ask(number: int) -> None:
        start.wait()
        for turn in range(25):
            key = api.get_key(f"key-{number}-{turn}")
            assert key is not None
            assert key.name == f"key-{number}-{turn}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))
    assert len(effects.sent) == 200


@pytest.mark.parametrize(
    ("host", "where"),
    [
        ("localhost", Whereabouts.HERE),
        ("LOCALHOST", Whereabouts.HERE),
        ("127.0.0.1", Whereabouts.HERE),
        ("127.1.2.3", Whereabouts.HERE),
        ("::1", Whereabouts.HERE),
        ("127.1", Whereabouts.NEARBY),
        ("2130706433", Whereabouts.NEARBY),
        ("0x7f000001", Whereabouts.NEARBY),
        ("::ffff:127.0.0.1", Whereabouts.NEARBY),
        ("::1%lo", Whereabouts.NEARBY),
        ("localhost.", Whereabouts.NEARBY),
        ("api.localhost", Whereabouts.NEARBY),
        ("::", Whereabouts.NEARBY),
        ("169.254.169.254", Whereabouts.NEARBY),
        ("fe80::1%eth0", Whereabouts.NEARBY),
        ("224.0.0.1", Whereabouts.NEARBY),
        ("", Whereabouts.NEARBY),
        ("10.0.0.7", Whereabouts.ELSEWHERE),
        ("127.0.0.1.example", Whereabouts.ELSEWHERE),
        ("localhost.example.com", Whereabouts.ELSEWHERE),
        ("api.gcore.com", Whereabouts.ELSEWHERE),
    ],
)
def test_a_host_is_here_nearby_or_elsewhere(host: str, where: Whereabouts) -> None:
    """Here, a token goes over plain http and past the proxy; elsewhere alone, an endpoint may be."""
    assert locate(host) is where
