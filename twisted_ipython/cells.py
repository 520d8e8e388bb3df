"""
The source of a cell, made into a function that runs it in the user's namespace.

Pure: runs nothing, keeps nothing, and knows neither IPython nor Twisted. The cell
becomes the body of a function by way of its syntax tree, so its strings, tabs and
line numbers stay the user's own.
"""

from __future__ import annotations
import __future__

import ast
import keyword
import re
import types
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

# What Python calls the code of a plain cell. IPython (8.18 to 9.18) shows a frame of
# this name as "Cell In[3], line 2", without the name and arguments of a function.
_CELL = "<module>"

_FEATURES = [getattr(__future__, name) for name in __future__.all_feature_names]
_FUTURE_FLAGS = sum({feature.compiler_flag for feature in _FEATURES})


def is_bindable(name: str) -> bool:
    """Whether Python takes ``name = …``, as it does for soft keywords (``match``)."""
    normal = unicodedata.normalize("NFKC", name)  # as Python keeps it
    constant = normal in {"None", "True", "False", "__debug__"}
    return name.isidentifier() and not keyword.iskeyword(name) and not constant


def cell_function(
    source: str,
    filename: str,
    namespace: dict,
    *,
    first_line: int = 1,
    local: bool = False,
    flags: int = 0,
    transform: Callable[[ast.Module], ast.Module] | None = None,
) -> types.FunctionType:
    """
    Make a function of a cell: a coroutine function if the cell awaits.

    It takes no arguments, and does what the cell would do in the body of a function,
    but the names that the cell binds land in ``namespace``. It returns what a
    ``return`` gives, else the value of the last statement if that is an expression.

    Args:
        first_line: The line of the user's cell that ``source`` begins at; whatever
            is reported has the user's line numbers.
        local: Keep the names that the cell binds in the function.
        flags: Compiler flags of earlier ``__future__`` imports; others are ignored.
        transform: Changes the tree, as ``InteractiveShell.transform_ast`` does.

    Raises:
        SyntaxError: The source is not Python, or can't stand in a cell.
    """
    # Blank lines in front, rather than numbers moved afterwards, because messages
    # name lines too: "expected an indented block after 'if' statement on line 3".
    text = "\n" * (first_line - 1) + source
    flags &= _FUTURE_FLAGS
    tree = _parse(text, filename, flags)
    tree = transform(tree) if transform else tree
    try:
        future_imports, body = _split(tree.body)
        level = _survey(body)
        if body and isinstance(body[-1], ast.Expr):
            body[-1] = ast.copy_location(ast.Return(body[-1].value), body[-1])
        outside = {} if local else _make_global(level, body, filename, namespace)
        factory = _factory(body, level.awaits, outside)
        # There these imports act; should the last one be late, Python will say so.
        module = ast.Module([*future_imports, factory], type_ignores=[])
        compiled = compile(module, filename, "exec", flags, dont_inherit=True)
    except SyntaxError as error:
        raise _counted_in_characters(error, filename, text) from None
    except ValueError as error:  # None, True or False in letters that look different
        raise SyntaxError(str(error), (filename, None, None, None)) from None
    code = _function_in(_function_in(compiled) if outside else compiled)
    closure = tuple(types.CellType(outside[name]) for name in code.co_freevars)
    function = types.FunctionType(code, namespace, closure=closure)
    function.__doc__ = None  # a string that opens a cell documents nothing
    return function


def _parse(text: str, filename: str, flags: int) -> ast.Module:
    flags |= ast.PyCF_ONLY_AST
    try:
        return compile(text, filename, "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        if getattr(error, "lineno", None) is not None:
            raise
        message = str(error)
    # Null bytes and lone surrogates, which Python refuses without saying where.
    for number, line in enumerate(_lines(text), start=1):
        if found := re.search("[\0\ud800-\udfff]", line):
            raise SyntaxError(message, (filename, number, found.start() + 1, line))
    raise SyntaxError(message, (filename, None, None, None))


def _lines(text: str) -> list[str]:
    """Lines as Python counts them; ``str.splitlines`` knows more line ends."""
    return re.split("\r\n|\r|\n", text)


def _counted_in_characters(error: SyntaxError, filename: str, text: str) -> SyntaxError:
    """An error of the compiler, which counts bytes, as the parser would put it."""
    lines: dict[int | None, str] = dict(enumerate(_lines(text), start=1))

    def place(line: int | None, offset: int | None) -> tuple[int | None, int | None]:
        if line in lines and offset and offset > 0:
            before = lines[line].encode()[: offset - 1]
            offset = len(before.decode(errors="replace")) + 1
        return line, offset

    start = place(error.lineno, error.offset)
    end = place(error.end_lineno, error.end_offset)
    details: tuple = (filename, *start, lines.get(error.lineno), *end)
    return type(error)(error.msg, details)


def _split(statements: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """The statements up to the last ``__future__`` import, and those after it."""
    end = 0
    for number, statement in enumerate(statements, start=1):
        if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            end = number
    return statements[:end], statements[end:]


@dataclass
class _Level:
    """What a cell does at its own level, that is, in no nested scope."""

    names: set[str] = field(default_factory=set)  # that it binds
    awaits: bool = False
    annotations: list[ast.AnnAssign] = field(default_factory=list)
    star_imports: list[ast.ImportFrom] = field(default_factory=list)
    lists: list[list] = field(default_factory=list)  # that hold its nodes


_LEAVES = {ast.Constant, ast.Load, ast.Store, ast.Del, str, int, type(None)}
_AWAITING = {ast.Await, ast.AsyncFor, ast.AsyncWith}
_FUNCTION_ONLY = {ast.Yield, ast.YieldFrom, ast.Nonlocal}
_DEFINITIONS = {ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef}
_SCOPES = _DEFINITIONS | {ast.Lambda}
_NAMED = _DEFINITIONS | {ast.ExceptHandler, ast.MatchAs, ast.MatchStar}
_BOUND_NAME: dict[type, Callable[[Any], Any]] = {
    **dict.fromkeys(_NAMED, attrgetter("name")),
    ast.MatchMapping: attrgetter("rest"),
    ast.alias: lambda node: node.asname or node.name.partition(".")[0],
}


def _survey(body: list[ast.stmt]) -> _Level:
    """Find what a cell does at its own level."""
    level = _Level(lists=[body])
    misplaced: list[Any] = []
    # A loop and no recursion: the tree of a sum of a thousand terms is that deep.
    at_level: list[Any] = [*body]
    in_generators: list[Any] = []
    for nodes in (at_level, in_generators):
        for node in nodes:  # which grows meanwhile
            kind = type(node)
            if kind in _LEAVES:
                continue
            if kind in _BOUND_NAME:
                level.names.add(_BOUND_NAME[kind](node))
            elif kind is ast.Name:
                # Of comprehensions too: harmless, and Python 3.12.0 to 3.12.3 would
                # mix them up with globals of that name (python/cpython#118513).
                if type(node.ctx) is not ast.Load:
                    level.names.add(node.id)
            elif kind is ast.AnnAssign:
                level.annotations.append(node)
            elif kind is ast.ImportFrom and node.names[0].name == "*":
                level.star_imports.append(node)
                continue
            elif kind in _AWAITING or (kind is ast.comprehension and node.is_async):
                level.awaits |= nodes is at_level
            elif kind in _FUNCTION_ONLY and nodes is at_level:
                misplaced.append(node)
            elif kind is ast.GeneratorExp:
                first, *others = node.generators
                nodes.append(first.iter)  # which is evaluated at once, outside
                in_generators += first.target, *first.ifs, *others, node.elt
                continue
            for name in node._fields:
                part = getattr(node, name, None)
                if name == "body" and kind in _SCOPES:
                    continue
                if isinstance(part, list):
                    level.lists.append(part)
                    nodes += part
                else:
                    nodes.append(part)
    for node in sorted(misplaced, key=attrgetter("lineno", "col_offset")):
        alone = ast.Expr(node) if isinstance(node, ast.expr) else node
        module = ast.Module([ast.copy_location(alone, node)], type_ignores=[])
        compile(module, "", "exec")  # raises, in Python's own words
    level.names.discard(None)  # from an ``except`` or a pattern without a name
    return level


def _make_global(level: _Level, body: list, filename: str, namespace: dict) -> dict:
    """Make what the statements bind global; return what they call for that."""
    outside = {}
    for star_import in level.star_imports:  # which no function may have
        module = ast.Module([star_import], type_ignores=[])
        code = compile(module, filename, "exec", dont_inherit=True)
        name = f"line {star_import.lineno}: {ast.unparse(star_import)}"
        outside[name] = types.FunctionType(code, namespace)
        call = ast.Expr(ast.Call(ast.Name(name, ast.Load()), [], []))
        ast.fix_missing_locations(ast.copy_location(call, star_import))
        [block] = [each for each in level.lists if star_import in each]
        block[block.index(star_import)] = call
    for annotation in level.annotations:
        # As if the target were in parentheses: a function does not evaluate such an
        # annotation either, and a plain one would make the name local.
        annotation.simple = 0
    if level.names:
        body.insert(0, ast.copy_location(ast.Global(sorted(level.names)), body[0]))
    return outside


def _factory(body: list, awaits: bool, outside: dict) -> ast.FunctionDef:
    """
    The tree of the cell's function, which no code can name.

    Inside a function that makes it, if the cell calls something from outside.
    """
    # The code begins at the top of the cell, as a module's does: IPython looks up
    # the source of a frame by its name (<module>) and by that line.
    at: Any = {"lineno": 1, "col_offset": 0}

    def define(kind: type, name: str, names: Iterable[str], body: list) -> Any:
        parameters = [ast.arg(each, **at) for each in names]
        signature = ast.arguments([], parameters, None, [], [], None, [])
        return kind(name, signature, body, [], type_params=[], **at)

    kind = ast.AsyncFunctionDef if awaits else ast.FunctionDef
    cell = define(kind, _CELL, [], body or [ast.Pass(**at)])
    if not outside:
        return cell
    # Global, so that no __qualname__ in the cell begins with the factory's name.
    return define(ast.FunctionDef, "", outside, [ast.Global([_CELL], **at), cell])


def _function_in(code: types.CodeType) -> types.CodeType:
    return next(each for each in code.co_consts if isinstance(each, types.CodeType))
