"""Secrets come from files, variables and settings, and go nowhere else."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from millrace.settings import Settings, load_settings, origins
from streams.errors import SettingsError
from streams.transport.access import BrokerAccess
from streams.transport.security import OPEN, Sasl, Security, Tls
from tests.millrace.conftest import Program

SECRET = "hunter2"


def load(folder: Path, text: str, **environment: str) -> Settings:
    file = folder / "millrace.toml"
    file.write_text(text)
    return load_settings(file, environment)


def test_without_a_section_nothing_is_encrypted_or_authenticated() -> None:
    assert load_settings(None, {}).access == BrokerAccess("memory://local", "", OPEN)


def test_a_section_becomes_one_value_for_all_clients(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    settings = load(
        tmp_path,
        """
        broker = "kafka://a:9093,b:9093"
        [kafka]
        prefix = "team-a."
        ca = "ca.pem"
        certificate = "client.pem"
        key = "/keys/client.key"
        key_password = "k"
        user = "team-a"
        password_file = "password"
        mechanism = "SCRAM-SHA-256"
        """,
    )
    assert settings.access == BrokerAccess(
        "kafka://a:9093,b:9093",
        "team-a.",
        Security(
            Tls(tmp_path / "ca.pem", tmp_path / "client.pem", Path("/keys/client.key"), "k"),
            Sasl("team-a", SECRET, "SCRAM-SHA-256"),
        ),
    )
    assert settings.access is settings.access


def test_every_setting_may_lie_in_a_file_that_a_variable_names(tmp_path: Path) -> None:
    for name, value in (
        ("user", "me"),
        ("password", SECRET),
        ("broker", "kafka://h:1"),
        ("k", "7"),
        ("dtype", "bfloat16"),
    ):
        (tmp_path / name).write_text(f"{value}\r\n" if name == "user" else value)
    settings = load(
        tmp_path,
        'broker = "kafka://other:1"\n[kafka]\npassword = "old"\nuser = "old"',
        MILLRACE_KAFKA__USER_FILE=str(tmp_path / "user"),
        MILLRACE_KAFKA__PASSWORD_FILE=str(tmp_path / "password"),
        MILLRACE_BROKER_FILE=str(tmp_path / "broker"),
        MILLRACE_RUN__K_FILE=str(tmp_path / "k"),
        MILLRACE_MODEL__DTYPE_FILE=str(tmp_path / "dtype"),
        MILLRACE_STORE_FILE="",
    )
    assert settings.access == BrokerAccess("kafka://h:1", "", Security(None, Sasl("me", SECRET)))
    assert (settings.run.k, settings.model.dtype) == (7, "bfloat16")


def test_a_secret_keeps_its_blanks_and_loses_one_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(" two words \n\n")
    given = {
        "MILLRACE_KAFKA__USER": "me",
        "MILLRACE_KAFKA__PASSWORD_FILE": str(tmp_path / "password"),
    }
    sasl = load_settings(None, given).access.security.sasl
    assert sasl is not None
    assert sasl.password == " two words \n"


def missing(folder: Path) -> Path:
    return folder / "missing"


def empty(folder: Path) -> Path:
    (folder / "empty").write_text("\n")
    return folder / "empty"


def binary(folder: Path) -> Path:
    (folder / "binary").write_bytes(b"\xff\xfe")
    return folder / "binary"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


def endless(folder: Path) -> Path:
    return Path("/dev/zero")


def huge(folder: Path) -> Path:
    (folder / "huge").write_bytes(b"x" * 70_000)
    return folder / "huge"


@pytest.mark.parametrize("made", [missing, empty, binary, pipe, endless, huge, lambda f: f])
def test_a_file_that_holds_no_secret_is_named_with_its_variable(
    made: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = made(tmp_path)
    with pytest.raises(SettingsError) as raised:
        load_settings(None, {"MILLRACE_KAFKA__PASSWORD_FILE": str(path)})
    assert f"MILLRACE_KAFKA__PASSWORD_FILE: {path}" in str(raised.value)


def test_a_secret_and_its_file_exclude_each_other(tmp_path: Path) -> None:
    both = {"MILLRACE_KAFKA__PASSWORD": SECRET, "MILLRACE_KAFKA__PASSWORD_FILE": "/x"}
    with pytest.raises(SettingsError, match="exclude each other") as raised:
        load_settings(None, both)
    assert SECRET not in str(raised.value)
    with pytest.raises(SettingsError, match=r"kafka\.password_file exclude each other"):
        load(tmp_path, f'[kafka]\npassword = "{SECRET}"\npassword_file = "x"')


@pytest.mark.parametrize(
    ("section", "said"),
    [
        (f'password = "{SECRET}"', "password needs a user"),
        ('user = "me"', "user needs a password"),
        ('key = "k"', "key needs a certificate"),
        (f'key_password = "{SECRET}"', "key_password needs a certificate"),
        ('tls = false\nca = "x"', "tls = false leaves"),
        ('prefix = "a b"', "is not usable"),
        (f'user = "me"\npassword = ["{SECRET}"]', "kafka.password = ***"),
        (f'user = "me"\npassword = {{a = "{SECRET}"}}', "kafka.password = ***"),
        ('user = "me"\npassword = "p"\nmechanism = "GSSAPI"', "kafka.mechanism = 'GSSAPI'"),
        (f'pasword = "{SECRET}"', "did you mean 'password'?"),
    ],
)
def test_a_wrong_section_is_one_line_without_secrets(
    section: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, f"[kafka]\n{section}\n")
    assert said in str(raised.value)
    assert SECRET not in f"{raised.value}{raised.value.__cause__}"


@pytest.mark.parametrize(
    "text",
    [
        f'kafka = "{SECRET}"',
        f'broker = "kafka://me:{SECRET}@host:9092"',
        f'broker = ["kafka://me:{SECRET}@host:9092"]',
        f'store = "s3://key:{SECRET}@bucket/x"',
        f'store = ["s3://key:{SECRET}@bucket/x"]',
        f'[run]\nk = "http://me:{SECRET}@proxy"',
    ],
)
def test_no_error_about_settings_quotes_a_secret(text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as raised:
        load(tmp_path, text)
    assert SECRET not in f"{raised.value}{raised.value.__cause__}"


def test_listings_of_settings_show_no_secret(tmp_path: Path) -> None:
    file = tmp_path / "millrace.toml"
    file.write_text(f'[kafka]\nuser = "me"\npassword = "{SECRET}"\nkey_password = "{SECRET}"\n')
    lines = origins(file, {"MILLRACE_STORE": f"s3://key:{SECRET}@bucket/x"})
    assert SECRET not in "".join(lines)
    assert f"kafka.password = *** ({file})" in lines
    assert f"kafka.user = 'me' ({file})" in lines
    assert SECRET not in repr(load(tmp_path, f'[kafka]\nuser = "me"\npassword = "{SECRET}"'))


def test_a_run_record_says_nothing_of_them(tmp_path: Path) -> None:
    settings = load(
        tmp_path, f'[kafka]\nprefix = "a."\nuser = "me"\npassword = "{SECRET}"\n[model]\npath = "m"'
    )
    assert SECRET not in repr(settings.run_spec())


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "list", "--broker", f"kafka://me:{SECRET}@localhost:1"),
        ("produce", f"https://me:{SECRET}@host/text", "--tokenizer", "x"),
        ("verify", f"s3://key:{SECRET}@bucket/run/final/manifest.json"),
        ("dashboard", f"https://host/manifest.json?token={SECRET}"),
        ("run", "x", "--model", "m", "--store", f"ftp://me:{SECRET}@host/x"),
        ("runs", "list", f"http://me:{SECRET}@host"),
    ],
)
def test_the_program_says_no_secret(program: Program, arguments: tuple[str, ...]) -> None:
    for verbose in ((), ("-v",)):
        ended = program(*verbose, *arguments)
        assert ended.status == 2
        assert SECRET not in "".join((ended.out, *ended.lines))


def test_requests_that_hold_a_password_are_not_logged(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kafka.protocol.sasl import SaslAuthenticateRequest

    from streams.transport import connect

    def talkative(*_: object) -> None:
        for name in ("aiokafka.conn", "kafka.net.connection"):
            request = SaslAuthenticateRequest(f"\0me\0{SECRET}".encode())
            logging.getLogger(name).debug("Request %d: %s", 1, request)
            logging.getLogger(name).debug("connected")
        raise ValueError

    # Whoever connected before in this process has silenced it, and whoever does next will.
    logging.getLogger("kafka").setLevel(logging.NOTSET)
    monkeypatch.setattr(connect, "_client", talkative)
    said = "".join(program("-vv", "runs", "list").lines)
    assert said.count("connected") == 2
    assert SECRET not in said


def test_libraries_may_log_what_they_like(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    from streams.transport import connect

    def talkative(*_: object) -> None:
        logging.getLogger("urllib3").warning("proxy http://me:%s@proxy:3128 is away", SECRET)
        raise ValueError(f"cannot reach http://me:{SECRET}@proxy:3128")

    monkeypatch.setattr(connect, "_client", talkative)
    ended = program("-v", "runs", "list")
    assert ended.status == 1
    assert "http://***@proxy:3128 is away" in "".join(ended.lines)
    assert SECRET not in "".join(ended.lines)
