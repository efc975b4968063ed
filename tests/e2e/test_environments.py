"""Two environments at once, from nothing to nothing."""

import os
import subprocess
import time
from collections.abc import Iterator

import pytest

from mlops_infra.node import cluster
from mlops_infra.node.leftovers import leftovers
from mlops_stack.pulumi_cli import Stack
from tests.e2e import environments
from tests.e2e.conftest import Commands
from tests.e2e.environments import Template

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="an embedded cluster needs root"),
]


@pytest.fixture(scope="module")
def template() -> Iterator[Template]:
    """The smallest: a cluster and its buckets."""
    with environments.template(ephemeral="true", layers="infra") as found:
        yield found


@pytest.fixture(scope="module")
def pair(template: Template) -> tuple[str, str]:
    """Two environments that are up; the second was made while the first was there."""
    first, second = template.new_name("first"), template.new_name("second")
    for name, ttl in ((first, "10m"), (second, "4h")):
        done = environments.run("create", "--name", name, "--ttl", ttl, "--template", template.name)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "✓ S3 answers" in done.stdout
        assert Stack(name).outputs()["s3_url"] in done.stdout
        assert "`make reap` then destroys it" in done.stdout
    return first, second


def test_both_are_up_and_listed_the_one_that_ends_first_before_the_other(
    pair: tuple[str, str], template: Template
) -> None:
    first, second = pair
    found = environments.listed()
    assert [name for name in found if name in pair] == [first, second]
    now = time.time()
    for name, seconds in ((first, 600), (second, 4 * 3600)):
        one = found[name]
        assert (one["provider"], one["state"], one["template"]) == ("embedded", "up", template.name)
        assert one["costUsd"] is None
        assert one["expires"] - one["created"] == pytest.approx(seconds, abs=2)
        assert one["created"] < now < one["expires"]
        assert cluster.read(name).health is cluster.Health.HEALTHY
    table = environments.run("list").stdout.splitlines()
    assert table[0].split("\t") == ["NAME", "PROVIDER", "AGE", "LEFT", "COST", "STATE"]
    assert table[1].startswith(f"{first}\tembedded\t")


def test_other_commands_work_on_an_environment_too(pair: tuple[str, str]) -> None:
    first, _ = pair
    commands = Commands(first)
    assert "✓ S3 answers" in commands.run("status").stdout
    assert "✅ No changes." in commands.run("preview", "--format", "markdown").stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--name", "dev", "--ttl", "4h"], "'dev' is kept for a lasting stack"),
        (["--name", "x", "--ttl", "4h", "--template", "aws"], "TEMPLATE=aws is protected"),
        (["--name", "x", "--ttl", "5m"], "TTL=5m is out of bounds"),
    ],
)
def test_what_is_protected_is_refused(words: list[str], message: str) -> None:
    done = environments.run("create", *words)
    assert done.returncode == 1
    assert message in done.stderr
    assert "x" not in Stack.names()


def test_a_name_that_is_taken_is_refused(pair: tuple[str, str], template: Template) -> None:
    words = ["--name", pair[0], "--ttl", "4h", "--template", template.name]
    done = environments.run("create", *words)
    assert done.returncode == 1
    assert f"stack {pair[0]} exists already" in done.stderr


def test_a_reap_that_fails_leaves_it_to_the_next(pair: tuple[str, str]) -> None:
    first, second = pair
    environments.expire(first)
    _pulumi("state", "protect", "--all", "--yes", "--stack", first)
    done = environments.run("reap")
    assert done.returncode == 1
    assert f"{first} resists" in done.stderr
    assert "environments that resist: 1" in done.stdout
    found = environments.listed()
    assert (found[first]["state"], found[second]["state"]) == ("failed", "up")
    assert cluster.read(first).health is cluster.Health.HEALTHY
    _pulumi("state", "unprotect", "--all", "--yes", "--stack", first)


def test_of_two_reaps_at_once_one_destroys_what_has_expired_and_the_other_lives(
    pair: tuple[str, str],
) -> None:
    first, second = pair
    both = [
        environments.finish(p) for p in (environments.start("reap"), environments.start("reap"))
    ]
    assert [done.returncode for done in both] == [0, 0], both
    assert sum("pulumi destroy" in done.stdout for done in both) == 1
    assert leftovers(first) == ()
    assert first not in Stack.names()
    assert cluster.read(second).health is cluster.Health.HEALTHY
    assert "✓ S3 answers" in Commands(second).run("status").stdout


def test_a_down_is_refused_while_it_is_reaped_and_nothing_is_left(pair: tuple[str, str]) -> None:
    _, second = pair
    environments.expire(second)
    reaping = environments.start("reap")
    assert reaping.stdout is not None
    for line in reaping.stdout:
        if line.startswith("• pulumi destroy"):
            break
    refused = Commands(second).run("down", check=False)
    done = environments.finish(reaping)
    assert refused.returncode == 1
    assert "`make reap` (process " in refused.stderr
    assert "Nothing was changed" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert leftovers(second) == ()
    assert not {*pair} & {*Stack.names()}
    assert environments.listed().keys().isdisjoint(pair)


def _pulumi(*words: str) -> None:
    stack = Stack("")
    subprocess.run(
        [stack._executable(), *words], env=stack._environment, check=True, capture_output=True
    )
