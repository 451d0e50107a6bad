"""Servers of MariaDB and PostgreSQL from Debian's packages, started by the tests."""

import contextlib
import dataclasses
import datetime
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import apt_packages
import pg8000.dbapi
import pymysql
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from lineage.store.location import PASSWORD_VARIABLE, Server

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".cache/databases"
PASSWORD = r"a'b \"c=d\ ü"  # breaks a connection string that is not quoted
START_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Running:
    """A running server.

    Attributes:
        kind: Kind of the server.
        port: Port on the loopback interface.
        connect: Connects to a database as its owner.
        process: The server process.
        ca: File with the certificate of the authority that signed the server's; empty if it cannot encrypt.
    """

    kind: Literal["mysql", "postgresql"]
    port: int
    connect: Callable[[str], Any]
    process: "subprocess.Popen[bytes]"
    ca: str = ""

    def sql(self, *statements: str, database: str = "") -> list[Sequence[Any]]:
        """Runs statements as the owner, and returns the rows of the last one."""
        with contextlib.closing(self.connect(database)) as connection:
            connection.autocommit = True if self.kind == "postgresql" else connection.autocommit(True)
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []

    def database(self, name: str, user: str = "writer") -> Server:
        """Creates an empty database that a user owns."""
        if self.kind == "mysql":
            self.sql(
                f"CREATE DATABASE {name} CHARACTER SET utf8mb4",
                f"CREATE USER IF NOT EXISTS {user} IDENTIFIED BY {_literal(PASSWORD, mysql=True)}",
                f"GRANT ALL ON {name}.* TO {user}",
            )
        else:
            if not self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{user}'"):
                self.sql(f"CREATE ROLE {user} LOGIN PASSWORD {_literal(PASSWORD, mysql=False)}")
            self.sql(f"CREATE DATABASE {name} OWNER {user}")
        return Server(kind=self.kind, host="localhost", port=self.port, database=name, user=user)


def settings(server: Server) -> dict[str, Any]:
    """Returns the ``metadata`` settings of a server."""
    return {key: getattr(server, key) for key in ("kind", "host", "port", "database", "user")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def certificates(folder: Path) -> dict[str, str]:
    """Creates files with a certificate for this machine, its key, and the certificate of the authority."""
    now = datetime.datetime.now(datetime.UTC)
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("ca", "cert")}
    issuer, subject = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("tests", "localhost"))
    content: dict[str, bytes] = {}
    for name, named in (("ca", issuer), ("cert", subject)):
        builder = x509.CertificateBuilder(issuer, named, keys[name].public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(days=1))
        builder = builder.not_valid_after(now + datetime.timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        content[name] = builder.sign(keys["ca"], hashes.SHA256()).public_bytes(Encoding.PEM)
    content["key"] = keys["cert"].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, text in content.items():
        (folder / f"{name}.pem").write_bytes(text)
    return {name: str(folder / f"{name}.pem") for name in content}


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Running]:
    """A MariaDB server."""
    with _folder(owner=None) as folder:
        root = _installed("mariadb-server-core", "usr/sbin/mariadbd")
        data, share = folder / "data", root / "usr/share/mysql"
        data.mkdir()
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, sorted(root.glob("usr/lib/*-linux-gnu"))))}
        common = [
            "--no-defaults",
            f"--basedir={root}/usr",
            f"--datadir={data}",
            "--innodb-flush-log-at-trx-commit=0",
            "--debug-no-sync",
        ]
        command = [str(root / "usr/sbin/mariadbd"), *common, *(["--user=root"] if os.geteuid() == 0 else [])]
        tables = "".join((share / f"mysql_system_tables{each}.sql").read_text() for each in ("", "_data"))
        subprocess.run(
            [*command, "--bootstrap", "--innodb-log-file-size=8M"],
            input=f"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\n{tables}".encode(),
            env=environment,
            check=True,
            capture_output=True,
        )
        port, path = free_port(), str(folder / "socket")
        files = certificates(folder)
        place = [f"--ssl-{name}={path}" for name, path in files.items()]
        place += [f"--port={port}", f"--socket={path}", "--bind-address=127.0.0.1", f"--pid-file={folder}/pid"]

        def connect(database: str) -> Any:
            return pymysql.connect(unix_socket=path, user="root", database=database or None)

        with _server([*command, *place], folder, environment) as process:
            yield _up(Running("mysql", port, connect, process, files["ca"]), folder)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Running]:
    """A PostgreSQL server."""
    owner = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    with _folder(owner) as folder:
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
        if programs is None or not (programs / "initdb").exists():
            # The other user may not be able to read the checkout, so copy it.
            unpacked = _installed("postgresql", "usr/lib/postgresql/*/bin/postgres")
            root = shutil.copytree(unpacked, folder / "root", symlinks=True)
            programs = max(root.glob("usr/lib/postgresql/*/bin"))
        libraries = ":".join(map(str, sorted((folder / "root").glob("usr/lib/*-linux-gnu"))))
        environment = {**os.environ, **({"LD_LIBRARY_PATH": libraries} if libraries else {})}
        data, port = folder / "data", free_port()
        options = ["--username=owner", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C"]
        subprocess.run(
            [programs / "initdb", f"--pgdata={data}", *options],
            env=environment,
            check=True,
            capture_output=True,
            **_as(owner),
        )
        (data / "pg_hba.conf").write_text("local all owner trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port), "-h", "127.0.0.1", "-k", str(folder)]

        def connect(database: str) -> Any:
            path = f"{folder}/.s.PGSQL.{port}"
            return pg8000.dbapi.connect(unix_sock=path, user="owner", database=database or "postgres")

        with _server([*command, "-c", "fsync=off"], folder, environment, **_as(owner)) as process:
            yield _up(Running("postgresql", port, connect, process), folder)


@pytest.fixture(params=["mariadb", "postgresql"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Each server in turn, with the password of its users in the environment."""
    monkeypatch.setenv(PASSWORD_VARIABLE, PASSWORD)
    running: Running = request.getfixturevalue(request.param)
    return running


def _installed(package: str, program: str) -> Path:
    """Returns the folder of an unpacked Debian package, which is downloaded once."""
    folder = PACKAGES / package
    if not apt_packages.is_possible() and not folder.is_dir():
        pytest.skip(f"no apt-get to fetch {package} with")
    try:
        apt_packages.fetch([package], folder)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"apt-get cannot fetch {package} (code {error.returncode}; its output is above)")
    assert list(folder.glob(program))
    return folder


@contextlib.contextmanager
def _folder(owner: str | None) -> Iterator[Path]:
    """Creates a folder that its owner can read, unlike pytest's, with a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="database") as name:
        if owner:
            os.chown(name, pwd.getpwnam(owner).pw_uid, -1)
        yield Path(name)


def _as(owner: str | None) -> dict[str, Any]:
    return {"user": owner, "extra_groups": []} if owner else {}


@contextlib.contextmanager
def _server(
    command: list[str], folder: Path, environment: dict[str, str], **owner: Any
) -> Iterator["subprocess.Popen[bytes]"]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder, **owner)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT if "postgres" in command[0] else signal.SIGTERM)
        process.wait(START_SECONDS)


def _up(running: Running, folder: Path) -> Running:
    deadline = time.monotonic() + START_SECONDS
    while running.process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(pymysql.Error, pg8000.dbapi.Error):
            running.sql("SELECT 1")
            return running
        time.sleep(0.05)
    raise AssertionError(f"the server did not start: {(folder / 'log').read_text()[-2000:]}")


def _literal(text: str, mysql: bool) -> str:
    return "'" + (text.replace("\\", "\\\\") if mysql else text).replace("'", "''") + "'"
