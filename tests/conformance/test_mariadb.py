"""MariaDB keeps every text as it was given, also in the tables of stacks that are older."""
# ruff: noqa: S608 - every statement is the test's own

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_stack.rehearsal.ports import free_port
from tests.conformance import mariadb
from tests.conformance.mariadb import DATABASES, Server

pytestmark = pytest.mark.timeout(300)

TEXTS = ["航班 größe", "🍣", "Ελληνικά", "עברית", "नमस्ते", "e\u0301", 'O\'Brien \\ "x"', "𝄞🏳️‍🌈"]
CONTEXTS = "1\tgröße\ts3://航班\n2\t汍\tNULL\n3\t汏\ta"
# As an earlier release started it: without a character set.
_BEFORE = """
set -e
[ -d "$VOLUME/data" ] || mariadb-install-db --no-defaults --datadir="$VOLUME/data" --skip-test-db \
  --auth-root-authentication-method=socket --auth-root-socket-user=root
{
  echo "CREATE USER IF NOT EXISTS '$MYSQL_USER'@'%' IDENTIFIED BY '$MYSQL_PASSWORD';"
  for database in $DATABASES; do
    echo "CREATE DATABASE IF NOT EXISTS \\`$database\\`;"
    echo "GRANT ALL PRIVILEGES ON \\`$database\\`.* TO '$MYSQL_USER'@'%';"
  done
} >"$RUN/accounts.sql"
exec mariadbd --no-defaults --datadir="$VOLUME/data" --socket="$RUN/mariadb.sock" --port="$PORT" \
  --skip-name-resolve --init-file="$RUN/accounts.sql" --performance-schema=OFF
"""


@pytest.fixture(scope="module", autouse=True)
def _server() -> None:
    mariadb.ensure()


@pytest.fixture
def server() -> Iterator[Server]:
    # Not pytest's folder, which only the tests' own user may enter.
    with tempfile.TemporaryDirectory(prefix="mariadb-") as folder:
        Path(folder).chmod(0o755)
        yield Server(folder=Path(folder), port=free_port())


@pytest.fixture
def new(server: Server) -> Iterator[Server]:
    with server.running():
        yield server


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


@pytest.mark.parametrize("database", DATABASES)
def test_any_text_comes_back_as_it_was_given(new: Server, database: str) -> None:
    new.ask("CREATE TABLE t (name VARCHAR(255) NOT NULL UNIQUE, text LONGTEXT)", database=database)
    # Kubeflow's driver asks for `utf8`; ML Metadata's names latin1, and sends UTF-8.
    for charset, begin in (("utf8mb4", ""), ("latin1", "SET NAMES utf8;"), ("latin1", "")):
        for text in TEXTS:
            new.ask(f"{begin} INSERT INTO t VALUES ({_quoted(text)}, {_quoted(text)})",
                    database=database, charset=charset)  # fmt: skip
            found = new.ask(
                f"{begin} SELECT name, HEX(name), HEX(text) FROM t WHERE name = {_quoted(text)}",
                database=database,
                charset=charset,
            )
            name, *stored = found.rsplit("\t", 2)
            assert name.replace("\\\\", "\\") == text
            assert stored == [text.encode().hex().upper()] * 2
        new.ask("DELETE FROM t", database=database)


def test_names_that_differ_by_an_emoji_are_two(new: Server) -> None:
    new.ask(
        "CREATE TABLE t (name VARCHAR(255) NOT NULL UNIQUE); INSERT INTO t VALUES ('🍣'), ('🍺')"
    )
    assert new.ask("SELECT COUNT(*) FROM t") == "2"


def test_tables_of_an_older_stack_take_any_text_and_keep_theirs(server: Server) -> None:
    with server.running("sh", "-c", _BEFORE):
        assert server.ask("SELECT @@character_set_database") == "latin1"
        # Keys as Kubeflow's widest, and one table that names another.
        server.ask("""
            CREATE TABLE runs (id VARCHAR(255) PRIMARY KEY, name VARCHAR(255) NOT NULL,
              kind VARCHAR(255), manifest LONGTEXT NOT NULL, content LONGBLOB,
              UNIQUE KEY names (name, kind), KEY widest (id, name, kind));
            CREATE TABLE metrics (run VARCHAR(255) NOT NULL, name VARCHAR(255), value DOUBLE,
              CONSTRAINT owner FOREIGN KEY (run) REFERENCES runs (id) ON DELETE CASCADE);
            INSERT INTO runs VALUES ('r1', 'größe', 'a', 'é', x'ff00e9');
            INSERT INTO metrics VALUES ('r1', 'naïve', 0.5);
            """)
        # What ML Metadata sends is UTF-8 by a connection that claims latin1.
        server.ask(
            """
            CREATE TABLE Context (id INT PRIMARY KEY, name VARCHAR(255) NOT NULL UNIQUE, uri TEXT,
              KEY u (uri(255)));
            INSERT INTO Context VALUES (1, 'größe', 's3://航班'), (2, '汍', NULL), (3, '汏', 'a');
            """,
            database="metadb",
            charset="latin1",
        )
        assert server.ask("SELECT name FROM Context", database="metadb").startswith("grÃ¶")

    with server.running():
        assert server.ask("SELECT id, name, kind, manifest, HEX(content) FROM runs") == (
            "r1\tgröße\ta\té\tFF00E9"
        )
        assert server.ask("SELECT * FROM Context", database="metadb") == CONTEXTS
        assert server.ask("SELECT * FROM Context", database="metadb", charset="latin1") == CONTEXTS
        server.ask("""
            INSERT INTO runs VALUES ('航班', '🍣', 'b', '航班 größe', '');
            INSERT INTO metrics VALUES ('航班', 'ж', 1);
            """)
        # The key between the tables still holds.
        server.ask("DELETE FROM runs WHERE id = 'r1'")
        assert server.ask("SELECT run, name FROM metrics") == "航班\tж"
        assert "converting" in server.log

    first = server.log
    with server.running():
        assert server.ask("SELECT manifest FROM runs") == "航班 größe"
        assert server.ask("SELECT * FROM Context", database="metadb") == CONTEXTS
    assert "converting" not in server.log[len(first) :]


def test_names_that_the_new_collation_takes_for_one_both_stay(server: Server) -> None:
    with server.running("sh", "-c", _BEFORE):
        server.ask("""
            CREATE TABLE t (name VARCHAR(255) NOT NULL UNIQUE);
            INSERT INTO t VALUES ('Bär'), ('Bar');
            """)
    with server.running():
        server.ask("INSERT INTO t VALUES ('航班')")
        assert server.ask("SELECT COUNT(*) FROM t") == "3"


def test_a_conversion_that_was_killed_is_made_up_for(server: Server) -> None:
    tables = [f"t{number}" for number in range(12)]
    with server.running("sh", "-c", _BEFORE):
        server.ask(
            "".join(
                f"CREATE TABLE {table} (name VARCHAR(255) NOT NULL UNIQUE);"
                f"INSERT INTO {table} SELECT CONCAT('größe ', seq) FROM seq_1_to_2000;"
                for table in tables
            )
        )
        server.ask(
            "CREATE TABLE Context (name VARCHAR(255) NOT NULL UNIQUE);"
            "INSERT INTO Context SELECT CONCAT('航班 ', seq) FROM seq_1_to_2000;",
            database="metadb",
            charset="latin1",
        )
    # Each try goes somewhat further before everything is killed.
    for seconds in (0.5, 1, 1.5, 2):
        process = server.command("sh", str(mariadb.START))
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    with server.running():
        for table in tables:
            server.ask(f"INSERT INTO {table} VALUES ('航班')")
            assert server.ask(f"SELECT COUNT(*) FROM {table}") == "2001"
        names = "SELECT COUNT(*) FROM Context WHERE name LIKE '航班 %'"
        assert server.ask(names, database="metadb") == "2000"


_UNGUARDED = """
exec mariadbd --no-defaults --datadir="$VOLUME/data" --socket="$RUN/mariadb.sock" --port="$PORT" \
  --skip-name-resolve --skip-grant-tables --performance-schema=OFF
"""


@pytest.fixture
def used(server: Server) -> Server:
    """Return a stopped server whose own tables lack one, as an older version's would."""
    with server.running():
        server.ask("CREATE TABLE kept (name TEXT); INSERT INTO kept VALUES ('a run')")
    with server.running("sh", "-c", _UNGUARDED):
        server.ask("DROP TABLE gtid_slave_pos", database="mysql")
    return server


def _tables(server: Server) -> str:
    with server.running("sh", "-c", _UNGUARDED):
        return server.ask("SHOW TABLES LIKE 'gtid_slave_pos'", database="mysql")


def test_files_of_an_older_version_are_upgraded_after_a_copy(used: Server) -> None:
    noted = used.volume / "data/mysql_upgrade_info"
    now = noted.read_text()
    noted.write_text("10.6.12-MariaDB")

    with used.running():
        assert used.ask("SELECT name FROM kept") == "a run"

    assert "bringing the tables from MariaDB 10.6 to " in used.log
    assert noted.read_text().strip() == now.strip()
    assert _tables(used) == "gtid_slave_pos"
    copy = used.volume / "data.10.6"
    assert (copy / "mlpipeline/kept.ibd").stat().st_size
    assert not (copy / "mysql/gtid_slave_pos.frm").exists()


def test_files_of_this_version_are_left_alone(used: Server) -> None:
    before = used.log
    with used.running():
        pass
    assert "bringing the tables" not in used.log.removeprefix(before)
    assert not _tables(used)


def test_files_of_a_newer_version_are_refused_and_stay(used: Server) -> None:
    (used.volume / "data/mysql_upgrade_info").write_text("99.1.2-MariaDB")
    process = used.command("sh", str(mariadb.START))
    assert process.wait(60) == 1
    assert "the files are of MariaDB 99.1, and this is 10." in used.log
    assert not _tables(used)
