"""
Make README.md from README.ipynb; with ``--execute`` run the notebook first.

A run that changes nothing leaves the notebook as it was, byte for byte: what
depends on the machine or the moment is not kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbconvert.exporters import MarkdownExporter
from nbconvert.writers import FilesWriter
from nbformat import NotebookNode

CHECKOUT = Path(__file__).resolve().parent.parent
NOTEBOOK = CHECKOUT / "README.ipynb"

CELL_TIMEOUT = 120
"""Seconds that one cell of the README may take."""


def from_json(text: str) -> NotebookNode:
    return nbformat.reads(text, as_version=nbformat.NO_CONVERT)


def as_json(notebook: NotebookNode) -> str:
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def execute(notebook: NotebookNode) -> None:
    """
    Run every cell in a kernel of the running Python, and keep the outputs.

    Raises:
        CellExecutionError: A cell failed that is not tagged raises-exception.
    """
    # First where kernels are looked for; the user's own may be another Python.
    os.environ["JUPYTER_PATH"] = os.path.join(sys.prefix, "share", "jupyter")
    client = NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=CELL_TIMEOUT,
        coalesce_streams=True,
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(CHECKOUT)}},
    )
    with tempfile.TemporaryDirectory() as directory:
        client.execute(env={**os.environ, "IPYTHONDIR": directory})


def strip(notebook: NotebookNode) -> None:
    """Remove what the next run, or a run elsewhere, would write differently."""
    notebook.metadata.kernelspec = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)


def as_markdown(notebook: NotebookNode) -> tuple[str, dict[str, object]]:
    """The text of README.md, and what nbconvert's writers need beside it."""
    exporter = MarkdownExporter()
    # The text of a value; its HTML is for notebooks.
    order = ["text/markdown", "image/png", "text/plain"]
    exporter.config.NbConvertBase.display_data_priority = order
    text, resources = MarkdownExporter(config=exporter.config).from_notebook_node(
        notebook
    )
    return text.strip() + "\n", resources


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--execute", action="store_true", help="run the cells first")
    options = parser.parse_args()

    before = NOTEBOOK.read_text(encoding="utf-8")
    notebook = from_json(before)
    if options.execute:
        try:
            execute(notebook)
        except CellExecutionError as problem:
            sys.exit(f"{problem}\nREADME.ipynb is as it was: a cell failed")
        strip(notebook)
        after = as_json(notebook)
        if after != before:
            NOTEBOOK.write_text(after, encoding="utf-8")
        print(f"README.ipynb: {'as it was' if after == before else 'changed'}")

    text, resources = as_markdown(notebook)
    FilesWriter(build_directory=str(CHECKOUT)).write(
        text, resources, notebook_name="README"
    )
    print("README.md: written")


if __name__ == "__main__":
    main()
