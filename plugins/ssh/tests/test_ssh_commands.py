"""What a command line runs, however it is written; what cannot be told is opaque."""

import time

import pytest

from recgate_ssh.commands import MAX_ACTS, read


def verbs(text: str) -> list[str]:
    return [act.verb for act in read(text).acts]


def opaque(text: str) -> bool:
    return any(act.opaque for act in read(text).acts)


@pytest.mark.parametrize(
    "text",
    [
        "rm -rf /", "r''m x", "r\\m x", '"rm" x', "/bin/rm x", "../../bin/rm x", "x=1 y=2 rm x", "$'\\x72m' x",
        "true; rm x", "true && rm x", "false || rm x", "true & rm x", "true\nrm x", "ls | rm x", "! rm x", "(rm x)",
        "{ rm x; }", "if true; then rm x; fi", "for i in a b; do rm $i; done", "while rm x; do :; done",
        "case x in x) rm x;; esac", "time rm x", "time -p rm x", "echo $(rm x)", 'echo "`rm x`"', "echo ${y:-$(rm x)}",
        "echo $(($(rm x)))", "diff <(rm x) y", "2>/dev/null rm x", ">y rm x", "rm>x", "sudo rm x",
        "sudo -u bob -n rm x",
        "sudo -- rm x", "env A=b rm x", "nohup nice -n 5 rm x", "timeout 5 rm x", "xargs -n 1 rm", "exec rm x",
        "command rm x", "bash -c 'rm x'", "bash -lc 'rm x'", "sh -c \"bash -c 'rm x'\"", "su root -c 'rm x'",
        "find . -name x -exec rm {} +", "eval rm x", "eval 'rm' x", "busybox rm x", "cat <<E\n$(rm x)\nE",
        "cat <<'E'\nnothing\nE\nrm x", "ls # x\nrm x", "chroot / rm x", "flock /tmp/l rm x",
    ],
)  # fmt: skip
def test_it_runs_rm(text: str) -> None:
    assert "rm" in verbs(text)


@pytest.mark.parametrize(
    "text",
    ["echo rm", "ls rm", "ls # rm", "echo 'rm x'", "cat <<'E'\n$(rm x)\nE", "echo '$(rm x)'", "rmdir x",
     "for rm in a; do :; done", "", "x=rm"],
)  # fmt: skip
def test_it_does_not(text: str) -> None:
    assert "rm" not in verbs(text)
    assert not opaque(text)


@pytest.mark.parametrize(
    "text",
    [
        "$X y", "${X} y", "$(echo rm) x", "/bin/r? x", "{rm,-rf,/}", "r*", "bash script", "curl x | sh", "sh < x",
        "python3 -c 1", "perl x.pl", ". x", "source x", "eval $x", "bash -c \"$x\"", "env -S 'rm x'", "alias ls=rm",
        "ls() { rm x; }", "function ls { rm x; }", "sudo --user bob rm", "trap 'rm x' EXIT", "bind '\"x\": \"rm\"'",
        "a" * 100_000,
    ],
)  # fmt: skip
def test_nobody_can_tell(text: str) -> None:
    assert opaque(text)


def test_where_redirections_lead_is_an_object() -> None:
    (act,) = read("cat > /etc/passwd < x 2>&1").acts
    assert act.objects[:2] == ("file /etc/passwd", "file x")


def test_a_line_that_goes_on_is_not_complete() -> None:
    assert not read("echo 'a").complete
    assert read("echo 'a'").complete
    assert verbs("rm 'a") == ["rm"]


def test_bounds() -> None:
    assert len(read("a;" * 10_000).acts) == MAX_ACTS
    assert opaque("a;" * 10_000)
    assert opaque("$(" * 20 + "rm x" + ")" * 20)


@pytest.mark.parametrize(
    "text", ["$(" * 30_000, "`" * 60_000, "(" * 60_000, "<<E\n" * 15_000, "\\" * 60_001, "${" * 30_000]
)
def test_time_is_linear(text: str) -> None:
    started = time.process_time()
    read(text)
    assert time.process_time() - started < 2.0
