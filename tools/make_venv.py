"""
Make the virtual environment that the targets of the Makefile run in.

Does nothing when the environment is there and holds what was asked for. Makes
it anew when it can't be used: the checkout was moved or copied, or the Python
it was made from is gone or has become another version. Prints to standard
error only.

Plain enough for very old Pythons to run, which are then told that they are.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 10), (3, 13)

CHECKOUT = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

RECORD = "made-by-make.json"
"""In the environment: what it was made from and what was installed there."""

DESCRIBE = """\
import sys
print("%s %d.%d in %s" % (
    (sys.implementation.name,) + sys.version_info[:2] + (sys.base_prefix,)))
"""


class Trouble(Exception):
    """Its text is the sentence that the user reads."""


def say(sentence):
    sys.stderr.write(sentence + "\n")
    sys.stderr.flush()


def run(command):
    """Run a command that reads nothing and writes to standard error only."""
    with open(os.devnull) as nothing:
        return subprocess.call(command, stdin=nothing, stdout=sys.stderr, cwd=CHECKOUT)


def python_of(directory):
    return os.path.join(directory, "bin", "python")


# Which Python


def described(python):
    """What identifies an interpreter: its version and place; None if it does not run."""
    try:
        said = subprocess.check_output([python, "-I", "-S", "-c", DESCRIBE])
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.decode().strip()


def this_python():
    """The path of the running Python, or of the one it is a virtual environment of."""
    if sys.prefix == sys.base_prefix:
        return sys.executable
    name = "python%d.%d" % sys.version_info[:2]
    base = os.path.join(sys.base_prefix, "bin", name)
    return base if os.path.exists(base) else os.path.realpath(sys.executable)


def check_version():
    """
    Raises:
        Trouble: The running Python is too old or too new.
    """
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise Trouble(
            "%s is Python %s, and this needs %d.%d to %d.%d; name another, as in: "
            "make test PYTHON=python3.12"
            % ((sys.executable, platform.python_version()) + OLDEST + NEWEST)
        )


def check_venv():
    """
    Raises:
        Trouble: The running Python can't make a virtual environment.
    """
    try:
        # Debian keeps these, or the wheels that they need, in a package of its own.
        import ensurepip
        import venv  # noqa: F401

        ensurepip.version()
    except Exception as problem:
        raise Trouble(
            "%s can't make a virtual environment (%s); on Debian and Ubuntu: "
            "apt install python%d.%d-venv"
            % ((sys.executable, problem) + sys.version_info[:2])
        )


# What is there


def read_record(directory):
    try:
        with open(os.path.join(directory, RECORD)) as file:
            return json.load(file)
    except (IOError, ValueError):
        return {}


def write_record(directory, record):
    with open(os.path.join(directory, RECORD), "w") as file:
        json.dump(record, file, indent=1, sort_keys=True)


def fingerprint(constraints):
    """Changes when what is to be installed does."""
    paths = ["pyproject.toml", "setup.py"] + ([constraints] if constraints else [])
    digest = hashlib.sha256()
    for path in paths:
        with open(os.path.join(CHECKOUT, path), "rb") as file:
            digest.update(file.read())
    with open(os.path.join(CHECKOUT, "twisted_ipython", "__init__.py"), "rb") as file:
        digest.update(b"".join(re.findall(b"(?m)^__version__.*$", file.read())))
    return digest.hexdigest()


def why_unusable(directory, record, python_was_named):
    """What is wrong with the environment, in words; None if nothing is."""
    if not os.path.isdir(directory):
        return "it is not there"
    if "python" not in record:
        return "it was not finished"
    if record.get("checkout") != CHECKOUT:
        return "it was made for %s" % record.get("checkout")
    found = described(python_of(directory))
    if found is None:
        return "its Python does not run"
    if found != record["python"]:
        return "it was made from %s, which is now %s" % (record["python"], found)
    if python_was_named and found != described(this_python()):
        return "it is made from %s, and %s was asked for" % (found, this_python())
    return None


# Making and installing


def make(directory):
    """
    Make the environment anew.

    Raises:
        Trouble: It can't be made, or what is there is not ours.
    """
    python = this_python()
    if os.path.exists(os.path.join(directory, RECORD)):
        shutil.rmtree(directory)
    if not os.path.isdir(directory):
        os.makedirs(directory)
    if os.listdir(directory):
        raise Trouble(
            "%s is there and make did not make it; remove it, or name another place, "
            "as in: make test VENV=.venv-make" % directory
        )
    # From here on it is known as ours, also when it is left half made.
    write_record(directory, {})
    say("making %s from Python %s" % (directory, platform.python_version()))
    if run([python, "-m", "venv", directory]):
        raise Trouble("%s could not be made; what went wrong is above" % directory)
    record = {
        "checkout": CHECKOUT,
        "python": described(python_of(directory)),
        "installed": {},
    }
    write_record(directory, record)
    return record


def install(directory, extra, constraints):
    """
    Raises:
        Trouble: pip failed.
    """
    what = ".[%s]" % extra if extra else "."
    name = "twisted_ipython" + what[1:]
    say("installing %s into %s; the first time this takes a minute" % (name, directory))
    command = [python_of(directory), "-m", "pip", "install", "--quiet", "--no-user"]
    command += ["--disable-pip-version-check", "--no-input", "--editable", what]
    if constraints:
        command += ["--constraint", constraints]
    if run(command):
        raise Trouble("%s could not be installed; what went wrong is above" % name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("directory")
    parser.add_argument("--extra", default="", help="which of pyproject.toml's extras")
    parser.add_argument("--constraints", default="", help="a file for pip --constraint")
    parser.add_argument(
        "--this-python",
        action="store_true",
        help="not just any Python that the environment has now",
    )
    options = parser.parse_args()

    directory = options.directory
    if options.this_python:
        check_version()
    record = read_record(directory)
    problem = why_unusable(directory, record, options.this_python)
    if problem:
        check_version()
        check_venv()
        if record:
            say("%s is made anew: %s" % (directory, problem))
        record = make(directory)

    wanted = fingerprint(options.constraints)
    if record["installed"].get(options.extra) != wanted:
        install(directory, options.extra, options.constraints)
        # What an extra brings includes what the package alone needs.
        record["installed"].update({options.extra: wanted, "": wanted})
        write_record(directory, record)


if __name__ == "__main__":
    try:
        main()
    except Trouble as trouble:
        say(str(trouble))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
