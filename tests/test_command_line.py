"""
``twisted-ipython``: what is listed, what is refused, and what is said of it.

With real processes and real files; the prompt itself is in test_attach_terminal.py.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jupyter_client.blocking import BlockingKernelClient

from commands import Done, Runtime, wait_until
from twisted_ipython.console import attaching, busy, directory, processes
from twisted_ipython.console.command_line import age_text
from twisted_ipython.console.errors import CannotAttach, NoAnswer

NOBODY = 65534

only_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="only root can be another user as well"
)
needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="this system has no /proc"
)


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    made = Runtime()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(made.path))
    yield made
    made.close()


def write(pid: int, **changes: object) -> Path:
    """Write the ``app.json`` of a process; returns its directory."""
    place = directory.make_directory(pid)
    application = directory.Application(
        pid=pid,
        start=processes.start_of(pid) or "",
        started=time.time() - 3 * 3600,
        uid=os.geteuid(),
        host=socket.gethostname(),
        name="made",
        arguments=("made.py",),
        reactor="none",
        signal=signal.SIGUSR2,
    )
    directory.write_application(place, replace(application, **changes))  # type: ignore[arg-type]
    return place


def listed(done: Done) -> list[dict[str, object]]:
    assert done.status == 0, done
    return list(json.loads(done.stdout))


# -- list ----------------------------------------------------------------------


def test_nothing_to_list(runtime: Runtime) -> None:
    """Where nothing can be attached to, a sentence says so; for programs, ``[]``."""
    done = runtime.command("list")
    assert (done.status, done.stdout) == (0, "")
    assert "no application of this user can be attached to" in done.stderr
    assert listed(runtime.command("list", "--json")) == []


def test_list(runtime: Runtime) -> None:
    """Each application has a line, by PID; for programs, these keys."""
    web, db = runtime.application("web"), runtime.application("db", "manual")
    write(os.getpid())

    found = listed(runtime.command("list", "--json"))
    assert [each["pid"] for each in found] == sorted([web.pid, db.pid, os.getpid()])
    for each in found:
        assert set(each) == {"pid", "name", "age", "state", "clients"}
    mine = next(each for each in found if each["pid"] == os.getpid())
    assert mine["name"] == "made" and mine["state"] == "dormant"
    assert mine["clients"] == 0 and 10800 <= float(str(mine["age"])) < 10900

    lines = runtime.command("list").stdout.splitlines()
    assert lines[0].split() == ["PID", "NAME", "AGE", "STATE", "CLIENTS"]
    mine_line = next(line for line in lines if "made" in line)
    assert mine_line.split() == [str(os.getpid()), "made", "3", "h", "dormant", "0"]


@pytest.mark.parametrize(
    "seconds, text",
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (7199, "1 h"), (200_000, "2 d")],
)
def test_age(seconds: float, text: str) -> None:
    """An age is told in its largest unit."""
    assert age_text(seconds) == text


def test_list_is_light(runtime: Runtime) -> None:
    """``list`` imports neither Twisted, IPython nor Jupyter: it answers at once."""
    write(os.getpid())
    done = runtime.program("-X", "importtime", "-m", "twisted_ipython", "list")
    modules = re.findall(r"\| +(\S+)$", done.stderr, re.MULTILINE)
    assert "twisted_ipython.console.command_line" in modules
    heavy = re.compile(r"(twisted|crochet|IPython|ipykernel|jupyter\w*|zmq|asyncio)\b")
    assert not [each for each in modules if heavy.match(each)]


def test_leftovers_of_the_dead(runtime: Runtime) -> None:
    """What a killed process has left is removed, and nothing of the living."""
    dead, live = runtime.application("dead"), runtime.application("live")
    dead.kill()
    assert dead.place.exists()
    assert [each["name"] for each in listed(runtime.command("list", "--json"))] == [
        "live"
    ]
    assert not dead.place.exists()
    assert live.place.exists()


def test_leftovers_under_a_number_used_again(runtime: Runtime) -> None:
    """A process that only has the number of a dead application is not listed."""
    place = write(os.getpid(), start="before")
    assert listed(runtime.command("list", "--json")) == []
    assert not place.exists()


def test_files_of_another_machine(runtime: Runtime) -> None:
    """A home directory on several machines: another one's are left alone."""
    place = write(os.getpid(), host="elsewhere")
    assert listed(runtime.command("list", "--json")) == []
    assert place.exists()
    said = runtime.command("attach", str(os.getpid())).sentence()
    assert "runs on the machine elsewhere" in said


def loose_directory(place: Path) -> None:
    place.chmod(0o755)


def loose_file(place: Path) -> None:
    (place / "app.json").chmod(0o644)


def linked_directory(place: Path) -> None:
    place.rename(place.with_name("real"))
    place.symlink_to(place.with_name("real"))


def linked_file(place: Path) -> None:
    (place / "app.json").rename(place / "real.json")
    (place / "app.json").symlink_to(place / "real.json")


def garbage(place: Path) -> None:
    (place / "app.json").write_text("{\x1b[31m")


def not_an_object(place: Path) -> None:
    (place / "app.json").write_text("[1, 2]")


def another_version(place: Path) -> None:
    content = json.loads((place / "app.json").read_text())
    del content["signal"]
    (place / "app.json").write_text(json.dumps(content))


def wrong_types(place: Path) -> None:
    content = json.loads((place / "app.json").read_text())
    (place / "app.json").write_text(json.dumps(content | {"signal": "9"}))


def of_another_process(place: Path) -> None:
    content = json.loads((place / "app.json").read_text())
    (place / "app.json").write_text(json.dumps(content | {"pid": 1}))


def a_fifo(place: Path) -> None:
    (place / "app.json").unlink()
    os.mkfifo(place / "app.json", 0o600)


def loose_root(place: Path) -> None:
    place.parent.chmod(0o777)


@pytest.mark.parametrize(
    "spoil, reason",
    [
        (loose_directory, r"is open to others \(mode 0755\).*chmod 700"),
        (loose_file, r"is open to others \(mode 0644\).*chmod 600"),
        (linked_directory, "is a symbolic link"),
        (linked_file, "is a symbolic link"),
        (garbage, "does not hold JSON"),
        (not_an_object, "is not of this version"),
        (another_version, "is not of this version.*signal"),
        (wrong_types, "is not of this version.*signal"),
        (of_another_process, "speaks of process 1"),
        (a_fifo, "is not a file"),
        (loose_root, r"is open to others \(mode 0777\)"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_cannot_be_trusted(
    runtime: Runtime, spoil: Callable[[Path], None], reason: str
) -> None:
    """It is left out with the reason, refused with the same, and left as it is."""
    application = runtime.application("handlerless")  # a signal would be noticed
    spoil(application.place)

    done = runtime.command("list", "--json")
    assert listed(done) == []
    assert re.search(f"left out: /.*{reason}", done.stderr), done
    assert "\x1b" not in done.stderr
    assert re.search(reason, runtime.command("attach", str(application.pid)).sentence())
    assert application.lives
    assert not (application.place / directory.ASKED_FILE).exists()
    assert application.place.exists()


@only_root
def test_what_belongs_to_another_user(runtime: Runtime) -> None:
    """What another user has put there is refused."""
    place = write(os.getpid())
    os.chown(place, NOBODY, NOBODY)
    assert "belongs to" in runtime.command("list").stderr
    assert "belongs to" in runtime.command("attach", str(os.getpid())).sentence()


def test_names_are_made_harmless(runtime: Runtime) -> None:
    """A name can't write to the terminal anything but itself."""
    name = "web\x1b]0;owned\x07\n\u202eevil"
    write(os.getpid(), name=name, signal=0)
    done = runtime.command("list")
    assert len(done.stdout.splitlines()) == 2
    assert r"web\x1b]0;owned\x07\n\u202eevil" in done.stdout
    assert [each["name"] for each in listed(runtime.command("list", "--json"))] == [
        name
    ]
    said = runtime.command("attach", str(os.getpid())).sentence()
    assert r"web\x1b]0;owned" in said and said.isprintable()


# -- attach: nothing is sent ---------------------------------------------------


@pytest.mark.parametrize("pid", ["99999999", "99999999999999999999", "0"])
def test_no_such_process(runtime: Runtime, pid: str) -> None:
    assert "there is no process" in runtime.command("attach", pid).sentence()


def test_not_opted_in(runtime: Runtime) -> None:
    """A process that has not opted in gets no signal: SIGUSR2 would end it."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        said = runtime.command("attach", str(process.pid)).sentence()
        assert f"process {process.pid} has no live console" in said
        assert "twisted_ipython.install_live_console(globals())" in said
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


@needs_proc
def test_another_users_process(runtime: Runtime) -> None:
    """It says whose process it is, and who can attach to it."""
    if os.geteuid():
        said, name, pid = runtime.command("attach", "1").sentence(), "root", 1
    else:
        process = subprocess.Popen(["sleep", "60"], user=NOBODY)
        try:
            said = runtime.command("attach", str(process.pid)).sentence()
        finally:
            process.kill()
            process.wait()
        name, pid = directory.user_name(NOBODY), process.pid
    assert f"process {pid} belongs to {name}" in said
    assert f"`sudo -u {name} twisted-ipython attach {pid}`" in said


@only_root
def test_no_permission(runtime: Runtime) -> None:
    """Files that may not be read are named."""
    code = (
        "import os, sys\n"
        "from twisted_ipython.console import attaching\n"
        f"os.seteuid({NOBODY})\n"
        "try: attaching.ask(str(os.getpid()))\n"
        "except Exception as error: sys.exit(f'twisted-ipython: {error}')"
    )
    said = runtime.program("-c", code).sentence()
    assert f"no permission to read {runtime.path}" in said


def test_no_such_name(runtime: Runtime) -> None:
    """The names that there are are told."""
    assert "there is none" in runtime.command("attach", "wbe").sentence()
    web = runtime.application("web")
    said = runtime.command("attach", "wbe").sentence()
    assert said == (
        f"no application of this user has the name wbe; there are: web ({web.pid})"
    )


def test_several_of_one_name(runtime: Runtime) -> None:
    """Several of one name: the PIDs are told, and none gets a signal."""
    pids = sorted(runtime.application("worker", "ends").pid for _ in range(2))
    said = runtime.command("attach", "worker").sentence()
    assert (
        f"2 applications have the name worker: attach by PID, one of {pids[0]}, {pids[1]}"
        == said
    )


def test_another_process_of_the_number(runtime: Runtime) -> None:
    """The process that runs under the PID now is not the one that opted in."""
    application = runtime.application("web", "handlerless")
    content = json.loads((application.place / "app.json").read_text())
    directory.write_json(application.place / "app.json", content | {"start": "before"})
    said = runtime.command("attach", str(application.pid)).sentence()
    assert f"has ended, and process {application.pid} is another one" in said
    assert application.lives


def test_a_process_that_was_not_waited_for(runtime: Runtime) -> None:
    """One that has ended, though its number is still taken."""
    application = runtime.application("web")
    os.kill(application.pid, signal.SIGKILL)
    wait_until(lambda: processes.start_of(application.pid) is None)
    said = runtime.command("attach", str(application.pid)).sentence()
    assert said.startswith(f"web ({application.pid}) has ended;")


@needs_proc
def test_no_handler_any_more(runtime: Runtime) -> None:
    """Where the application has put the handler away, the signal would end it."""
    application = runtime.application("web", "handlerless")
    said = runtime.command("attach", "web").sentence()
    assert f"web ({application.pid}) has no handler for SIGUSR2 any more" in said
    assert "nothing was sent" in said
    assert application.lives


def test_no_signal_opens_it(runtime: Runtime) -> None:
    application = runtime.application("web", "manual")
    said = runtime.command("attach", "web").sentence()
    assert f"no signal opens the console of web ({application.pid})" in said
    assert 'activation="manual"' in said


def test_no_frontend(runtime: Runtime) -> None:
    """Without jupyter-console here, nothing is sent, and the extra is named."""
    application = runtime.application("web", "ends")
    code = (
        "import sys; sys.modules['jupyter_console'] = None\n"
        "from twisted_ipython.console.command_line import main\n"
        "sys.exit(main(['attach', 'web']))"
    )
    said = runtime.program("-c", code).sentence()
    assert "python -m pip install 'twisted_ipython[console]'" in said
    assert application.lives


CONNECTION = {
    "transport": "ipc",
    "ip": "/nowhere/kernel",
    "key": "k",
    "shell_port": 1,
    "iopub_port": 2,
    "control_port": 3,
    "stdin_port": 4,
    "hb_port": 5,
    "signature_scheme": "hmac-sha256",
}


def test_connection_files_are_checked(runtime: Runtime) -> None:
    """A connection file has to be there, to be one, and to be this user's alone."""
    file = runtime.path / "some.json"

    def said() -> str:
        return runtime.command("attach", str(file), "--timeout", "0.5").sentence()

    assert f"there is no connection file {file}" in said()
    directory.write_json(file, {"pid": 5})
    assert "is not a connection file: it lacks control_port" in said()
    directory.write_json(file, CONNECTION)
    assert f"no kernel has answered at {file} within 0.5 s" in said()
    file.chmod(0o644)
    assert "is open to others (mode 0644)" in said()
    file.rename(runtime.path / "real.json")
    file.symlink_to(runtime.path / "real.json")
    assert "is a symbolic link" in said()


def test_connection_file_of_the_dead(runtime: Runtime) -> None:
    """The connection file that a killed application has left is known as such."""
    application = runtime.application("web")
    directory.write_json(application.place / "kernel.json", CONNECTION)
    application.kill()
    said = runtime.command("attach", str(application.place / "kernel.json")).sentence()
    assert f"web ({application.pid}) has ended, and left" in said


# -- attach: the signal is sent ------------------------------------------------


def test_the_application_ends(runtime: Runtime) -> None:
    application = runtime.application("web", "ends")
    said = runtime.command("attach", "web").sentence()
    assert f"web ({application.pid}) ended before its console was open" in said


def test_opening_fails(runtime: Runtime) -> None:
    """Why it failed is what the application says: each time anew."""
    application = runtime.application("web", "fails")
    for _ in range(2):
        said = runtime.command("attach", "web").sentence()
        assert f"web ({application.pid}) could not open its console: " in said
        assert "python -m pip install 'twisted_ipython[console]'" in said
        assert not application.says().state != directory.DORMANT


def test_busy(runtime: Runtime) -> None:
    """An application that does not answer: how long, where it is, and what to do."""
    application = runtime.application("web", "stuck")
    done = runtime.command("attach", "web", "--timeout", "4")
    assert done.status == 1 and done.seconds >= 4, done
    first, second, *rest = done.stderr.splitlines()
    label = f"web ({application.pid})"
    where = r"it is at fake_application\.py, line \d+: look\(\)"
    assert re.fullmatch(
        rf"twisted-ipython: {re.escape(label)} is busy: its reactor has not answered "
        rf"for \d\.\d s; {where}",
        first,
    )
    assert f"{label} has not opened its console within 4.0 s" in second
    assert re.search(where, second) and "`--timeout 60` waits longer" in second
    assert "fake_application.py" in "".join(rest)
    assert "os.read(asked, 1)" in "".join(rest)
    assert "%%thread" in rest[-1]
    assert application.lives


def test_busy_in_c(runtime: Runtime) -> None:
    """One that has not noted the signal can't say where it is."""
    runtime.application("web", "deaf")
    with pytest.raises(NoAnswer, match="inside a call in C") as error:
        attaching.open_application("web", timeout=0.1)
    assert error.value.seconds >= 0.1
    assert (error.value.where, error.value.stack) == ("", ())


@needs_proc
def test_busy_since_it_is_stopped(runtime: Runtime) -> None:
    """One that was stopped by Ctrl-Z is told from one that is busy."""
    application = runtime.application("web")
    application.signal(signal.SIGSTOP)
    wait_until(lambda: processes.is_stopped(application.pid))
    with pytest.raises(NoAnswer, match=f"`kill -CONT {application.pid}`"):
        attaching.open_application("web", timeout=0.1)


def test_busy_and_then_open(runtime: Runtime) -> None:
    """What is waited for while it is busy is attached to when it no longer is."""
    application = runtime.application("web", "late")
    said: list[str] = []

    def on_busy(sentence: str) -> None:
        said.append(sentence)
        application.signal(signal.SIGUSR1)

    file = attaching.ask("web").wait(30, on_busy)
    assert len(said) == 1 and "is busy" in said[0]
    assert runs_cells(file)


def runs_cells(file: Path) -> bool:
    """Whether any Jupyter client can run a cell there."""
    client = BlockingKernelClient(connection_file=str(file))
    client.load_connection_file()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=30)
        reply = client.execute_interactive("6 * 7", timeout=30, output_hook=bool)
        return bool(reply["content"]["status"] == "ok")
    finally:
        client.stop_channels()


@pytest.mark.parametrize("how", ["opens", "closing"])
def test_open_application(runtime: Runtime, how: str) -> None:
    """For programs: the connection file of a kernel that answers, however asked for."""
    application = runtime.application("web", how)
    file = attaching.open_application(str(application.pid), timeout=30)
    assert file == application.place / "kernel.json"
    # The kernel answers; its reactor may have to note that yet.
    assert application.says().state in (directory.OPENING, directory.OPEN)
    assert runs_cells(file)

    for target in ("web", str(file)):
        again = attaching.ask(target)
        assert again.wait() == file and not again.sent
    assert not (application.place / directory.ASKED_FILE).exists()


def test_taken_away_while_it_is_opened(runtime: Runtime) -> None:
    """An application that takes its console away is not waited for."""
    application = runtime.application("web", "stuck")
    opening = attaching.ask("web")
    assert opening.sent
    (application.place / directory.APP_FILE).unlink()
    with pytest.raises(CannotAttach, match="has taken its console away"):
        opening.wait(30)


def test_still_starting(runtime: Runtime) -> None:
    """A reactor that has answered is not busy, however long the kernel takes."""
    application = runtime.application("web")
    place = application.place
    opening = replace(application.says(), state=directory.OPENING)
    directory.write_application(place, opening)
    said: list[str] = []
    with pytest.raises(NoAnswer, match="its kernel is still starting"):
        attaching.ask("web").wait(attaching.BUSY_AFTER + 0.2, said.append)
    assert said == []


def test_a_note_that_cannot_be_read(runtime: Runtime) -> None:
    """What the application notes is not needed."""
    place = write(os.getpid())
    file = place / directory.KERNEL_FILE
    assert busy.asked(file) == ("", ())
    for content in ([], {"where": 5}, {"where": "x", "stack": None}):
        directory.write_json(place / directory.ASKED_FILE, content)
        assert busy.asked(file) == ("", ())


# -- The command itself --------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("attach",),
        ("attach", "web", "--timeout", "0"),
        ("attach", "web", "--timeout", "nan"),
        ("attach", "web", "--timeout", "soon"),
        ("list", "web"),
        ("open",),
    ],
)
def test_usage(runtime: Runtime, arguments: tuple[str, ...]) -> None:
    """What can't be understood has the exit status 2."""
    done = runtime.command(*arguments)
    assert done.status == 2
    assert done.stderr.startswith("usage: twisted-ipython")


def test_help_and_version(runtime: Runtime) -> None:
    """The help has examples that can be copied."""
    from twisted_ipython import __version__

    assert runtime.command("--version").stdout == f"twisted-ipython {__version__}\n"
    assert "twisted-ipython attach 4711" in runtime.command("--help").stdout
    assert "--timeout 60" in runtime.command("attach", "--help").stdout
    assert "--json" in runtime.command("list", "--help").stdout


def test_the_script_is_the_same_command() -> None:
    """``twisted-ipython`` and ``python -m twisted_ipython`` call one function."""
    project = Path(__file__).parent.parent.joinpath("pyproject.toml").read_text()
    script = 'twisted-ipython = "twisted_ipython.console.command_line:main"'
    assert script in project
