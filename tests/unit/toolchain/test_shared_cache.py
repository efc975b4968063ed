"""The shared cache: what is wrong with it is a line and a build, never a broken result."""

import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from mlops_toolchain import engine, keys, layout, status
from mlops_toolchain.artefact import Artefact
from mlops_toolchain.build import RECORD, is_built, record
from mlops_toolchain.errors import ToolchainError
from mlops_toolchain.progress import LiveProgress, PlainProgress
from mlops_toolchain.shared_cache import fetch, http_store, places
from mlops_toolchain.shared_cache.folder_store import FolderStore
from mlops_toolchain.shared_cache.opening import open_store
from mlops_toolchain.shared_cache.push import is_pushed, push, push_one
from mlops_toolchain.shared_cache.store import StoreError
from tests.unit.conftest import CHECKOUT
from tests.unit.toolchain.small import Shell, add, small
from tests.unit.toolchain.web import Files, files, refused, serve

LINE = (
    "echo here >> $COUNT; mkdir -p tree/empty; printf x > tree/program; chmod 755 tree/program; "
    "chmod 700 tree/empty; ln -s tree/program program; ln -s ../program tree/up; "
    "printf '%s' content > 'name with ünïcode'; : > nothing"
)


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the shared cache; $COUNT gets a line for each build of `tool`."""
    folder = tmp_path / "shared"
    folder.mkdir()
    monkeypatch.setenv("MLOPS_SHARED_CACHE", str(folder))
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    return folder


@pytest.fixture
def tool(tools: dict[str, Artefact]) -> Artefact:
    add(tools, small("tool", LINE, link="program"))
    return tools["tool"]


@pytest.fixture
def pushed(tool: Artefact, shared: Path) -> Path:
    """The folder of `tool` in the shared cache; this machine has it no more."""
    engine.ensure(["tool"], PlainProgress())
    push([tool])
    _forget()
    return (shared / places.manifest_path(tool)).parent


def _forget() -> None:
    shutil.rmtree(layout.cache() / "artefacts")


def _builds() -> int:
    return len(Path(os.environ["COUNT"]).read_text().splitlines())


def _content(folder: Path) -> dict[str, tuple[str, int]]:
    """Return each path with its content or target, and its mode."""
    return {
        path.relative_to(folder).as_posix(): (
            str(path.readlink()) if path.is_symlink() else
            path.read_text() if path.is_file() else "",
            0 if path.is_symlink() else path.lstat().st_mode,
        )
        for path in folder.rglob("*")
        if path.name != RECORD
    }  # fmt: skip


def _edit(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text())
    change(manifest)
    file.write_text(json.dumps(manifest))


def _archive(folder: Path) -> Path:
    (found,) = folder.glob("*.tar.gz")
    return found


def _replace_archive(folder: Path, content: bytes) -> None:
    """Put another archive there, to which the manifest's digest and size fit."""
    _archive(folder).unlink()
    digest = hashlib.sha256(content).hexdigest()
    (folder / f"{digest}.tar.gz").write_bytes(content)
    _edit(folder, lambda m: m.update(archive=digest, archive_bytes=len(content)))


def _tar(folder: Path, change: Callable[[list[tarfile.TarInfo]], object]) -> None:
    """Write the archive anew with changed members."""
    with tarfile.open(_archive(folder)) as old:
        members = old.getmembers()
        data = {member.name: file.read() for member in members if (file := old.extractfile(member))
                and member.isreg()}  # fmt: skip
    change(members)
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in members:
            text = data.get(member.name, b"evil")
            member.size = len(text) if member.isreg() else 0
            new.addfile(member, io.BytesIO(text))
    _replace_archive(folder, gzip.compress(raw.getvalue()))


def _builds_instead(capsys: pytest.CaptureFixture[str], reason: str) -> list[str]:
    """Ask for `tool`; return the lines that say why it was built here."""
    before = _builds()
    (tool,) = engine.ensure(["tool"], PlainProgress())
    assert _builds() == before + 1
    assert is_built(tool)
    assert "fetched" not in record(tool)
    assert (keys.result(tool) / "program").read_text() == "x"
    assert [p.name for p in keys.result(tool).parent.iterdir() if p.name.startswith("b")] == []
    lines = capsys.readouterr().out.splitlines()
    said = [line for line in lines if re.search(reason, line)]
    assert len(said) == 1, lines
    assert "Traceback" not in "".join(lines)
    return lines


def test_what_is_pushed_is_fetched_as_it_was(
    tool: Artefact, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.ensure(["tool"], PlainProgress())
    before = _content(keys.result(tool))
    assert len(before) == 7
    push([tool])
    assert "✓ shared cache: 1 pushed" in capsys.readouterr().out
    push([tool])
    assert "✓ shared cache: 0 pushed (0 MiB), 1 were there" in capsys.readouterr().out
    _forget()
    engine.ensure(["tool"], PlainProgress())
    assert _content(keys.result(tool)) == before
    assert _builds() == 1
    shown = capsys.readouterr().out
    assert f"{shared} is asked for 1 artefacts" in shown
    assert re.search(r"✓ tool 1 fetched, \d\.\d MiB, \d+\.\d s", shown)
    noted = record(tool)
    assert noted["fetched"] == str(shared)
    assert (
        noted["fetched_bytes"]
        == _archive((shared / places.manifest_path(tool)).parent).stat().st_size
    )
    assert noted["origin"] == "shell"
    # A result that was fetched can be pushed elsewhere, and is the same archive.
    other = shared.parent / "other"
    other.mkdir()
    push_one(FolderStore(other), tool)
    assert [p.name for p in other.rglob("*.gz")] == [p.name for p in shared.rglob("*.gz")]


def test_what_is_not_there_is_built_and_named(
    tools: dict[str, Artefact], tool: Artefact, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(tools, small("other", "true"))
    engine.ensure(["tool", "other"], PlainProgress())
    lines = capsys.readouterr().out.splitlines()
    assert "[toolchain] not in the shared cache: other, tool" in lines
    assert _builds() == 1


def _flip(folder: Path) -> None:
    file = _archive(folder)
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def _cut(folder: Path) -> None:
    file = _archive(folder)
    file.write_bytes(file.read_bytes()[:-20])


def _first(manifest: dict[str, Any], kind: str) -> dict[str, Any]:
    return next(entry for entry in manifest["entries"] if entry["kind"] == kind)


def _add_member(
    name: str, type_: bytes = tarfile.REGTYPE, link: str = ""
) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = type_, link
        _tar(folder, lambda members: members.insert(0, member))

    return change


def _change(kind: str, **values: Any) -> Callable[[Path], None]:
    """Change the manifest's first entry of a kind."""
    return lambda folder: _edit(folder, lambda manifest: _first(manifest, kind).update(values))


def _top(**values: Any) -> Callable[[Path], None]:
    """Change the manifest's own fields."""
    return lambda folder: _edit(folder, lambda manifest: manifest.update(values))


def _text(text: str) -> Callable[[Path], object]:
    """Replace the manifest."""
    return lambda folder: (folder / "manifest.json").write_text(text)


FIRST_FILE = "name with ünïcode"
OUTSIDE = "/var/evil"


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (_flip, "archive is cut or damaged|the digest of its archive is"),
        (_cut, "archive is cut or damaged"),
        (lambda f: _archive(f).open("ab").write(b"\0" * 9), "bytes where its manifest says"),
        (lambda f: _archive(f).write_bytes(b"<html>moved"), "archive is cut or damaged"),
        (lambda f: _archive(f).unlink(), "its manifest is there and its archive is not"),
        (_change("file", sha256="0" * 64), f"the digest of {FIRST_FILE}"),
        (_change("file", size=1), "has 7 bytes, not 1"),
        (_top(archive="0" * 64), "archive is not"),
        (lambda f: _edit(f, lambda m: m["entries"].pop()), "more than its manifest says"),
        (lambda f: _edit(f, lambda m: m["entries"].pop(0)), "where its manifest has"),
        (lambda f: _tar(f, lambda members: members.pop()), "has its end where"),
        (_top(key="0" * 16), "manifest is of tool 0000"),
        (_top(platform="debian-99-riscv64"), "for debian-99-riscv64"),
        (_top(format=2), r"not valid \(format"),
        (_top(surplus=2), r"not valid \(surplus"),
        (_text("<html>login"), "manifest is not valid"),
        (_text(""), "manifest is not valid"),
        (_change("file", mode=0o4755), "not valid .*mode"),
        (lambda f: _edit(f, lambda m: m["entries"].append(m["entries"][0])), "there twice"),
        # Paths and links that lead out: by the manifest, and by the archive alone.
        (_change("file", path="../evil"), "outside of the result's folder"),
        (_change("file", path=OUTSIDE), "outside of the result's folder"),
        (_change("file", path="program/evil"), "outside of the result's folder"),
        (_change("link", target="/etc/shadow"), "links to '/etc/shadow', outside of its folder"),
        (_change("link", target="../../x"), r"links to '\.\./\.\./x', outside of its folder"),
        (_add_member("../evil"), r"archive has \.\./evil \(file\) where"),
        (_add_member(OUTSIDE), r"archive has /?var/evil \(file\) where"),
        (_add_member(FIRST_FILE, tarfile.SYMTYPE, "/etc/passwd"), r"\(link\) where"),
        (_add_member(FIRST_FILE, tarfile.LNKTYPE, "/etc/passwd"), "neither file, folder nor link"),
        (_add_member(FIRST_FILE, tarfile.FIFOTYPE), "neither file, folder nor link"),
    ],
)
def test_a_result_that_is_not_as_it_should_be_is_built_instead(
    pushed: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    harm: Callable[[Path], object],
    reason: str,
) -> None:
    harm(pushed)
    capsys.readouterr()
    lines = _builds_instead(capsys, reason)
    (said,) = [line for line in lines if re.search(reason, line)]
    assert said.startswith("[toolchain] tool is not taken from the shared cache: ")
    assert list(tmp_path.rglob("*evil*")) == []
    assert not Path(OUTSIDE).exists()


def test_a_link_leads_out_by_no_detour(pushed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two links, each inside by its words, of which one leads out through the other."""

    def change(members: list[tarfile.TarInfo]) -> None:
        for name, target in (("tree/z1", ".."), ("tree/z2", "z1/../x")):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            members.append(member)

    _tar(pushed, change)
    links = (("tree/z1", ".."), ("tree/z2", "z1/../x"))
    _edit(
        pushed,
        lambda m: m["entries"].extend({"path": p, "kind": "link", "target": t} for p, t in links),
    )
    _builds_instead(capsys, r"tree/z2 links to .*x, outside of its folder")


def test_an_archive_without_its_manifest_is_not_there(
    pushed: Path, tool: Artefact, capsys: pytest.CaptureFixture[str]
) -> None:
    """What an interrupted push leaves, and what tidying by age leaves."""
    (pushed / "manifest.json").unlink()
    assert not is_pushed(FolderStore(pushed.parents[3]), tool)
    _builds_instead(capsys, "not in the shared cache: tool")
    push([tool])
    assert "1 pushed" in capsys.readouterr().out
    _archive(pushed).unlink()
    push([tool])
    assert "1 pushed" in capsys.readouterr().out
    _forget()
    engine.ensure(["tool"], PlainProgress())
    assert "fetched" in record(tool)


def test_what_only_builds_read_is_fetched_for_a_build_alone(
    tools: dict[str, Artefact], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(
        tools,
        small("compiler", "true"),
        small("program", "true", "compiler", link="p"),
        small("root", "true"),
        small("image", "true", "root", "program", link="i"),
    )
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))

    def there() -> set[str]:
        return {a.name for a in tools.values() if is_built(a) and "fetched" in record(a)}

    engine.ensure([], PlainProgress())
    push(tools.values())
    _forget()
    engine.ensure([], PlainProgress())
    assert there() == {"program", "image"}
    assert engine.missing([]) == []
    rows = {row["artefact"]: row for row in status_rows(monkeypatch, tools)}
    assert rows["compiler"]["from"] == ""
    # The image's sources change: its build needs what the cache has of its needs.
    add(tools, small("image", "echo changed", "root", "program", link="i"))
    engine.ensure([], PlainProgress())
    assert there() == {"program", "root"}
    assert is_built(tools["image"])
    assert not is_built(tools["compiler"])
    # Whoever names one gets it.
    engine.ensure(["compiler", "program"], PlainProgress())
    assert there() == {"program", "root", "compiler"}


def status_rows(
    monkeypatch: pytest.MonkeyPatch, tools: dict[str, Artefact]
) -> list[dict[str, str]]:
    monkeypatch.setattr(status, "ARTEFACTS", tuple(tools.values()))
    return status.rows()


def test_the_status_says_where_each_came_from(
    tools: dict[str, Artefact],
    pushed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    add(tools, small("compiler", "true"), small("above", "true", "compiler", link="x"))
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    engine.ensure(["tool", "above"], PlainProgress())
    shutil.rmtree(layout.cache() / "artefacts/compiler")
    rows = {row["artefact"]: row for row in status_rows(monkeypatch, tools)}
    shared = re.escape(str(pushed.parents[3]))
    assert re.fullmatch(rf"{shared} \(0 MiB in \d+\.\d s\)", rows["tool"]["from"])
    assert rows["above"]["from"] == "this machine"
    capsys.readouterr()
    status.show(as_json=False)
    (line,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("compiler")]
    assert "not needed" in line


@pytest.mark.parametrize(("absent", "obtained"), [(False, {"must", "ui"}), (True, {"must"})])
def test_a_hurry_waits_for_no_build_that_the_cache_spares_the_rest(
    tools: dict[str, Artefact],
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    absent: bool,
    obtained: set[str],
) -> None:
    add(tools, replace(small("must", "true"), seconds=200))
    add(tools, replace(small("ui", "true"), seconds=100, optional=True))
    monkeypatch.setattr(engine, "ARTEFACTS", tuple(tools.values()))
    engine.ensure([], PlainProgress())
    push([tools["must"]] if absent else tools.values())
    _forget()
    engine.ensure([], PlainProgress(), in_a_hurry=True)
    assert {name for name in tools if is_built(tools[name])} == obtained


@dataclass(frozen=True, kw_only=True)
class Found(Shell):
    """A recipe that takes the machine's own program."""

    def on_path(self) -> str | None:
        return "/usr/bin/tool"


def test_a_program_of_the_machine_itself_goes_before_a_fetched_one(
    tools: dict[str, Artefact], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = Found(line="ln -s /bin/sh tool; printf 'found on PATH' > origin", link="tool")
    add(tools, replace(small("tool", ""), recipe=recipe))
    engine.ensure(["tool"], PlainProgress())
    assert "not in the shared cache" not in capsys.readouterr().out
    push(tools.values())
    shown = capsys.readouterr().out
    assert "tool stays here: tool links to /bin/sh" in shown
    assert "0 pushed" in shown
    assert list(shared.rglob("*.*")) == []


def test_a_disk_too_small_fetches_nothing(
    pushed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usage = shutil.disk_usage("/")._replace(free=100 * 2**20)
    monkeypatch.setattr("mlops_toolchain.engine.check_disk", lambda _: None)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    _builds_instead(
        capsys, "tool is not taken from the shared cache: it needs 0 MiB and .* 100 MiB free"
    )


# --- places ---


def test_a_folder_that_is_not_there_is_named(
    tool: Artefact,
    monkeypatch: pytest.MonkeyPatch,
    shared: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLOPS_SHARED_CACHE", f"{shared}/unmounted")
    engine.ensure(["tool"], PlainProgress())
    assert (
        f"the shared cache is not used: {shared}/unmounted is no folder: mount it, or make it"
        in capsys.readouterr().out
    )
    with pytest.raises(StoreError, match="unmounted is no folder"):
        push([tool])
    assert list(shared.iterdir()) == []


def test_a_pipe_in_a_files_place_keeps_nobody_waiting(
    pushed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pushed / "manifest.json").unlink()
    os.mkfifo(pushed / "manifest.json")
    _builds_instead(capsys, "manifest.json is no file")


def test_a_plain_web_server_is_enough(
    pushed: Path,
    tool: Artefact,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with serve(files(pushed.parents[3])) as host:
        monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://{host}/")
        engine.ensure(["tool"], PlainProgress())
        assert record(tool)["fetched"] == f"http://{host}"
        assert _builds() == 1
        store = open_store()
        assert store
        assert is_pushed(store, tool)
        with pytest.raises(StoreError, match="is for reading: push to the folder"):
            push_one(store, tool)
        # A server's words for what it does not have are no result.
        (pushed / "manifest.json").unlink()
        _forget()
        capsys.readouterr()
        _builds_instead(capsys, "not in the shared cache: tool")


class _Secretive(Files):
    """Asks for a password, and refuses it."""

    def do_GET(self) -> None:  # noqa: N802 - the library's name
        if self.headers.get("Authorization"):
            self.send_error(403, "Forbidden")
        else:
            self.send_error(401, "Unauthorized")


@pytest.mark.parametrize("where", ["refuses", "nobody", "unknown", "invalid"])
def test_credentials_reach_no_message(
    tool: Artefact, shared: Path, tmp_path: Path, where: str
) -> None:
    """The whole command, with all that it and its libraries print at their most talkative."""
    with serve(_Secretive) as refusing:
        host = {
            "refuses": refusing,
            "nobody": refused(),
            "unknown": "x.invalid",
            "invalid": "h:port",
        }[where]
        address = f"http://somebody:swordfish@{host}/toolchain"
        code = """
import logging, sys
logging.basicConfig(level=logging.INFO)
from mlops_toolchain import __main__, build, engine, host_packages, keys
from tests.unit.toolchain.small import small
tool = small("tool", "echo here >> $COUNT")
engine.BY_NAME = keys.BY_NAME = build.BY_NAME = {"tool": tool}
host_packages.ensure = lambda: None
__main__.view.link_only = lambda _: set()
sys.argv = ["mlops_toolchain", "build", "tool"]
sys.exit(__main__.main())
"""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=False,
            env={**os.environ, "MLOPS_SHARED_CACHE": address, "MLOPS_CACHE": f"{tmp_path}/cache"},
        )  # fmt: skip
    shown = done.stdout + done.stderr
    assert not re.search("somebody|swordfish|c29tZWJvZHk", shown), shown
    assert "Traceback" not in shown
    if where == "invalid":
        assert done.returncode == 1
        assert "MLOPS_SHARED_CACHE is no URL that can be read" in shown
        return
    assert done.returncode == 0, shown
    place = f"http://{host}/toolchain"
    reason = rf"the shared cache is not used: {place} does not answer \(ConnectError\)"
    if where == "refuses":
        reason = f"{place} answers 403 Forbidden, which may mean that it is not there: tool"
    assert re.search(reason, shown)
    assert not any("swordfish" in f.read_text() for f in (tmp_path / "cache").rglob("*.json"))
    assert _builds() == 1


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ftp://somebody:swordfish@host/x", r"is ftp://…, which is none of a folder, s3://bucket"),
        ("s3://somebody:swordfish@bucket/x", "keys are read from AWS_ACCESS_KEY_ID"),
        ("s3://bucket/x?key=swordfish", "keys are read from AWS_ACCESS_KEY_ID"),
        ("s3:///x", "names no bucket"),
        ("https:///x", "names no host"),
        ("https://host/x?token=swordfish", "has a query: a server's password goes before its name"),
        ("https://somebody:swordfish@host:port/x", "is no URL that can be read"),
    ],
)
def test_an_address_that_is_none_ends_the_command(
    tool: Artefact, monkeypatch: pytest.MonkeyPatch, address: str, message: str
) -> None:
    monkeypatch.setenv("MLOPS_SHARED_CACHE", address)
    with pytest.raises(ToolchainError, match=message) as error:
        engine.ensure(["tool"], PlainProgress())
    assert "swordfish" not in str(error.value)
    assert not is_built(tool)


def test_no_cache_to_push_to_is_named(tool: Artefact) -> None:
    assert open_store() is None
    with pytest.raises(ToolchainError, match="MLOPS_SHARED_CACHE is not set: name the cache"):
        push([tool])


def _handler(folder: Path, answer: Callable[[Files], None], *, only: str = "") -> type[Any]:
    """Return a handler of a folder's files that answers by a function where a path ends so."""

    class Handler(Files):
        def __init__(self, *arguments: Any, **_: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            if self.path.endswith(only):
                answer(self)
            else:
                super().do_GET()

    return Handler


def _half(handler: Files) -> None:
    """Announce all of a file, and end after half of it."""
    content = Path(handler.translate_path(handler.path)).read_bytes()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(content)))
    handler.end_headers()
    handler.wfile.write(content[: len(content) // 2])


def _silence(_: BaseHTTPRequestHandler) -> None:
    time.sleep(3)


def _drops(handler: BaseHTTPRequestHandler) -> None:
    """Send an endless body, a byte at a time."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" ")
            time.sleep(0.02)
    except OSError:
        pass


def _trouble(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(503, "Service Unavailable")


@pytest.mark.parametrize(
    ("answer", "only", "reason"),
    [
        (_half, ".gz", r"tool is not taken .* was cut \(RemoteProtocolError\)"),
        (_half, ".json", r"tool is not taken .* was cut \(RemoteProtocolError\)"),
        (_silence, "", r"the shared cache is not used: .* does not answer \(ReadTimeout\)"),
        (_silence, ".gz", r"the shared cache is not used: .* does not answer \(ReadTimeout\)"),
        (_drops, ".json", r"tool is not taken .* is too slow \(\d+ KiB in \d+ s\)"),
        (_trouble, "", "the shared cache is not used: .* answers 503 Service Unavailable"),
    ],
)
def test_a_server_in_trouble_costs_a_bounded_time(  # noqa: PLR0917
    pushed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: Callable[[Files], None],
    only: str,
    reason: str,
) -> None:
    monkeypatch.setattr(http_store, "READ_SECONDS", 0.5)
    monkeypatch.setattr(fetch, "_PATIENCE_SECONDS", 0.5)
    with serve(_handler(pushed.parents[3], answer, only=only)) as host:
        monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://{host}")
        capsys.readouterr()
        start = time.monotonic()
        _builds_instead(capsys, reason)
        assert time.monotonic() - start < 15


def test_a_server_that_hides_what_it_has_not_is_asked_for_the_rest(
    tools: dict[str, Artefact],
    pushed: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """S3 answers 403 for missing keys to whoever may not list the bucket."""

    def hide(handler: Files) -> None:
        if Path(handler.translate_path(handler.path)).exists():
            super(type(handler), handler).do_GET()
        else:
            handler.send_error(403, "Forbidden")

    add(tools, small("a", "true"), small("b", "true"))
    with serve(_handler(pushed.parents[3], hide)) as host:
        monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://{host}")
        capsys.readouterr()
        engine.ensure(["a", "b", "tool"], PlainProgress())
    assert "fetched" in record(tools["tool"])
    assert "answers 403 Forbidden, which may mean that it is not there: a, b" in (
        capsys.readouterr().out
    )


def test_builds_see_no_keys(
    tools: dict[str, Artefact], shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    add(tools, small("curious", "env > seen"))
    engine.ensure(["curious"], PlainProgress())
    seen = (keys.result(tools["curious"]) / "seen").read_text()
    assert "PATH=" in seen
    assert not re.search("swordfish|AWS_|MLOPS_SHARED_CACHE", seen)


def test_a_cache_that_does_not_answer_is_asked_once(
    tools: dict[str, Artefact],
    shared: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = [f"a{number}" for number in range(20)]
    add(tools, *(small(name, "true") for name in names))
    monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://{refused()}/")
    engine.ensure(names, PlainProgress())
    shown = capsys.readouterr().out
    assert shown.count("shared cache") == 1
    assert "not in the shared cache" not in shown


def test_a_cache_that_is_wrong_again_and_again_is_left_alone(
    tools: dict[str, Artefact], shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"a{number}" for number in range(20)]
    add(tools, *(small(name, "echo x > f") for name in names))
    engine.ensure(names, PlainProgress())
    push(tools.values())
    for archive in shared.rglob("*.gz"):
        archive.write_bytes(b"")
    _forget()
    capsys.readouterr()
    engine.ensure(names, PlainProgress())
    shown = capsys.readouterr().out
    assert shown.count("is not taken from the shared cache") == 3
    assert shown.count("the shared cache is not asked any more") == 1
    assert all(is_built(artefact) for artefact in tools.values())


def test_a_redirection_is_followed_without_the_password(
    pushed: Path, tool: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str | None]] = []

    def note(handler: Files) -> None:
        seen.append(("files", handler.headers.get("Authorization")))
        super(type(handler), handler).do_GET()

    def lead(handler: Files) -> None:
        seen.append(("leading", handler.headers.get("Authorization")))
        handler.send_response(302)
        handler.send_header("Location", f"http://{host}{handler.path}")
        handler.end_headers()

    with serve(_handler(pushed.parents[3], note)) as host, serve(_handler(pushed, lead)) as other:
        monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://somebody:swordfish@{other}")
        engine.ensure(["tool"], PlainProgress())
    assert record(tool)["fetched"] == f"http://{other}"
    # "somebody:swordfish" in base64.
    assert seen == [("leading", "Basic c29tZWJvZHk6c3dvcmRmaXNo"), ("files", None)] * 2


# --- at the same time ---


def test_a_fetched_result_is_moved_into_place_at_once(
    pushed: Path, tool: Artefact, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While half of the archive has come, nobody sees any of it."""
    arrived, go_on = threading.Event(), threading.Event()

    def slowly(handler: Files) -> None:
        content = _archive(pushed).read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[: len(content) // 2])
        handler.wfile.flush()
        arrived.set()
        go_on.wait(20)
        handler.wfile.write(content[len(content) // 2 :])

    with serve(_handler(pushed.parents[3], slowly, only=".gz")) as host:
        monkeypatch.setenv("MLOPS_SHARED_CACHE", f"http://{host}")
        seen: list[list[str]] = []

        def look() -> None:
            arrived.wait(20)
            time.sleep(0.5)
            seen.append(sorted(path.name[:9] for path in keys.result(tool).parent.iterdir()))
            go_on.set()

        thread = threading.Thread(target=look)
        thread.start()
        engine.ensure(["tool"], PlainProgress())
        thread.join()
    assert seen == [[".lock", "building-"]]
    assert is_built(tool)
    assert "fetched" in record(tool)
    assert list(keys.result(tool).parent.glob("building-*")) == []


@pytest.fixture
def big(tools: dict[str, Artefact], shared: Path) -> Iterator[Artefact]:
    """A result of 8 MiB that differs with each build, as most do."""
    add(tools, small("big", "head -c 8388608 /dev/urandom > random; sha256sum random > sum"))
    yield tools["big"]


def test_two_pushes_at_once_do_no_harm(
    big: Artefact, shared: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whenever a third machine reads, it gets one of the two results, or none."""
    results: list[set[str]] = []
    machines = [tmp_path / "m1", tmp_path / "m2"]
    for machine in machines:
        monkeypatch.setenv("MLOPS_CACHE", str(machine))
        monkeypatch.delenv("MLOPS_SHARED_CACHE")
        engine.ensure(["big"], PlainProgress())
        results.append({(keys.result(big) / "sum").read_text()})
        monkeypatch.setenv("MLOPS_SHARED_CACHE", str(shared))
    assert results[0] != results[1]
    code = """
import sys
from pathlib import Path
from mlops_toolchain import build, engine, keys
from mlops_toolchain.shared_cache.folder_store import FolderStore
from mlops_toolchain.shared_cache.push import push_one
from tests.unit.toolchain.small import small
big = small("big", "head -c 8388608 /dev/urandom > random; sha256sum random > sum")
engine.BY_NAME = keys.BY_NAME = build.BY_NAME = {"big": big}
for _ in range(3):
    push_one(FolderStore(Path(sys.argv[1])), big)
"""
    pushing = [
        subprocess.Popen(
            [sys.executable, "-c", code, shared],
            cwd=CHECKOUT,
            env={**os.environ, "MLOPS_CACHE": str(machine)},
        )
        for machine in machines
    ]
    monkeypatch.setenv("MLOPS_CACHE", str(tmp_path / "reader"))
    layout.cache().mkdir()
    read = 0
    store = FolderStore(shared)
    going_on = True
    while going_on:
        going_on = any(process.poll() is None for process in pushing)
        if fetch.SharedCache(store, PlainProgress()).fetch([big]):
            assert {(keys.result(big) / "sum").read_text()} in results
            _forget()
            read += 1
    assert [process.returncode for process in pushing] == [0, 0]
    assert read
    # One archive of each machine, and nothing half.
    left = sorted(path.name for path in shared.rglob("*") if path.is_file())
    assert len(left) == 3
    assert not [name for name in left if name.startswith(".pushing")]


def test_an_interrupted_fetch_leaves_nothing(
    big: Artefact, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.ensure(["big"], PlainProgress())
    push([big])
    _forget()

    def check(self: fetch.SharedCache, transferred: int, seconds: float) -> None:
        if transferred > 2**20:
            self._stopping.set()
        original(self, transferred, seconds)

    original = fetch.SharedCache._check
    monkeypatch.setattr(fetch.SharedCache, "_check", check)
    cache = fetch.SharedCache(FolderStore(shared), PlainProgress())
    assert cache.fetch([big]) == []
    assert not is_built(big)
    assert [p.name for p in keys.result(big).parent.iterdir()] == [".lock"]


def test_a_terminal_gets_the_same_lines(
    pushed: Path, tools: dict[str, Artefact], capsys: pytest.CaptureFixture[str]
) -> None:
    add(tools, small("other", "true"))
    capsys.readouterr()
    engine.ensure(["tool", "other"], LiveProgress())
    shown = capsys.readouterr().out
    assert re.search(r"✓ tool 1 fetched, \d\.\d MiB", shown)
    assert "not in the shared cache: other" in shown
    assert re.search(r"✓ other built, 0\.0 MiB, \d+\.\d s \[1/1\]", shown)
