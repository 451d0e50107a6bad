import http.client
import re
import ssl
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from certificates import Authority
from click.testing import CliRunner
from server_process import Embedded

from serving.__main__ import main
from serving.access.tls import read_tls
from serving.client.cli import Client, cli
from serving.client.security import Security
from serving.errors import ServingError
from serving.flags import OptionError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with authority.pem, other.pem, and the certificates and keys ``server`` and ``client``."""
    folder = tmp_path_factory.mktemp("certificates")
    authority = Authority(folder)
    authority.sign("server")
    authority.sign("client")
    authority.sign("locked", password=b"secret")
    Authority(folder, "other").sign("stranger")
    return folder


def flags(model_flags: list[str], folder: Path, config: str) -> list[str]:
    (folder / "ssl").write_text(config)
    return [*model_flags, f"--ssl_config_file={folder / 'ssl'}"]


def text(path: Path) -> str:
    """Returns a file as a string of a text proto."""
    return '"' + path.read_text().replace("\n", "\\n") + '"'


def clients(server: Embedded, security: Security) -> list[Client]:
    return [
        Client.grpc(f"127.0.0.1:{server.port}", 10, security),
        Client.rest(f"127.0.0.1:{server.rest_port}", 10, security),
    ]


def test_tls_encrypts_both_protocols_and_the_client_checks_the_certificate(
    embed: Callable[..., Embedded], model_flags: list[str], folder: Path
) -> None:
    # As in TensorFlow Serving's own files, with the texts instead of paths.
    config = f"server_key: {text(folder / 'server.key')} server_cert: {text(folder / 'server.pem')}"
    server = embed(*flags(model_flags, folder, config))
    for client in clients(server, Security(tls=True, ca_file=folder / "authority.pem")):
        with client:
            assert client.predict("tiny", [{"x": 1.0}], signature="serving_default") == [{"y": [2.5]}]
            assert client.status("tiny") == {1: "AVAILABLE"}
    for security in (Security(), Security(tls=True), Security(tls=True, ca_file=folder / "other.pem")):
        for client in clients(server, security):
            with client, pytest.raises(ServingError):
                client.status("tiny")


def test_mutual_tls_needs_a_certificate_of_the_authority(
    embed: Callable[..., Embedded], model_flags: list[str], folder: Path, tmp_path: Path
) -> None:
    config = "server_key: 'server.key' server_cert: 'server.pem' custom_ca: 'authority.pem' client_verify: true"
    server = embed(*flags(model_flags, folder, config))
    ca, own = folder / "authority.pem", (folder / "client.pem", folder / "client.key")
    for client in clients(server, Security(True, ca, *own)):
        with client:
            assert client.status("tiny") == {1: "AVAILABLE"}
    for security in (Security(True, ca), Security(True, ca, folder / "stranger.pem", folder / "stranger.key")):
        for client in clients(server, security):
            with client, pytest.raises(ServingError):
                client.status("tiny")
    (tmp_path / "rows").write_text('{"x": 1.0}')
    options = [f"--ca-file={ca}", f"--cert-file={own[0]}", f"--key-file={own[1]}", f"--rows={tmp_path / 'rows'}"]
    for protocol, port in (("grpc", server.port), ("rest", server.rest_port)):
        arguments = ["--model=absent", f"--protocol={protocol}", f"--address=127.0.0.1:{port}"]
        result = CliRunner().invoke(cli, ["predict", *arguments, *options])
        assert (result.exit_code, "Servable not found" in result.stderr) == (1, True), result.stderr


def test_old_versions_of_tls_and_plain_http_are_refused(
    embed: Callable[..., Embedded], model_flags: list[str], folder: Path
) -> None:
    server = embed(*flags(model_flags, folder, "server_key: 'server.key' server_cert: 'server.pem'"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        http.client.HTTPSConnection("127.0.0.1", server.rest_port, timeout=10, context=context).connect()
    with pytest.raises((http.client.HTTPException, OSError)):
        server.rest("GET", "/v1/models/tiny")
    with pytest.raises(grpc.RpcError):
        server.states()


KEY, CERT = "server_key: 'server.key'", "server_cert: 'server.pem'"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CERT, "found no server_key; expected a PEM text or the path of a PEM file"),
        (KEY, "found no server_cert"),
        (f"{CERT} server_key: 'absent'", "server_key: .*absent: No such file or directory"),
        (f"{CERT} server_key: 'ssl'", "server_key: .*ssl: found no line that starts with -----BEGIN"),
        (f"{CERT} server_key: 'a\\nb'", "server_key: expected a PEM text"),
        (f"{CERT} server_key: 'client.key'", "server_cert and server_key: .*KEY_VALUES_MISMATCH.*; expected"),
        (f"{CERT} server_key: '-----BEGIN PRIVATE KEY-----'", "server_cert and server_key: .*; expected"),
        ("server_cert: 'locked.pem' server_key: 'locked.key'", "server_cert and server_key: .*not encrypted"),
        (f"{CERT} {KEY} client_verify: true", "found client_verify without custom_ca"),
        (f"{CERT} {KEY} client_verify: true custom_ca: 'server.key'", "custom_ca: .*; expected certificates"),
        (f"{CERT} serverkey: 'server.key'", "line 1, column 27: expected a text-format tensorflow.serving.SSLConfig"),
    ],
)
def test_mistakes_in_the_file_are_reported(folder: Path, config: str, message: str) -> None:
    (folder / "ssl").write_text(config)
    with pytest.raises(OptionError, match=rf"^--ssl_config_file: .*ssl: {message}"):
        read_tls(folder / "ssl")


def test_error_does_not_contain_the_key(folder: Path) -> None:
    (folder / "ssl").write_text(f"server_key: {text(folder / 'server.key')[:-1]}")  # without the closing quote
    with pytest.raises(OptionError) as caught:
        read_tls(folder / "ssl")
    assert "PRIVATE" not in str(caught.value)


def test_server_with_a_mistake_exits_with_2(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model_base_path=/a", f"--ssl_config_file={folder / 'absent'}"]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.endswith("absent: No such file or directory; expected a text-format tensorflow.serving.SSLConfig")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ca-file=/absent"], "error: /absent: No such file or directory; expected a file that can be read"),
        (["--cert-file=client.pem"], "error: found only one of the client's certificate and key"),
        (["--ca-file=client.key"], "error: client.key: .*; expected PEM certificates"),
        (["--cert-file=client.pem", "--key-file=server.key"], "error: client.pem and server.key: .*MISMATCH"),
        (["--token-file=empty"], "error: empty: found no token"),
    ],
)
def test_client_reports_mistakes_in_its_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], message: str
) -> None:
    monkeypatch.chdir(folder)
    (folder / "rows").write_text("{}")
    (folder / "empty").write_text("\n")
    for protocol in ("grpc", "rest"):
        result = CliRunner().invoke(cli, ["predict", "--model=m", "--rows=rows", f"--protocol={protocol}", *options])
        assert result.exit_code == 2
        assert re.match(message, result.stderr), result.stderr
