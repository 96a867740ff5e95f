"""Every sentence that a user can see, read off the source: `python -m tests.messages` writes docs/messages.md.

A sentence is a string of at least two words that is neither a docstring nor a pattern nor a program. Its kind comes
from the call that it is an argument of: an error, a hint, a help text, output, a notice or a line of the log. Anything
else is "text", a part of one of these. Values appear in braces, optional parts in brackets.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
MESSAGES = ROOT / "docs" / "messages.md"
WIDTH = 100

INTRODUCTION = """\
# Messages

Every sentence that a user can see, by module. `python -m tests.messages` generates this page from
the source, and `tests/test_messages.py` checks that it is current. Review the wording here, and
change it in the module.

`{name}` is filled in, and `[text]` can be missing. An error's hint says what to do next. `text` is
a part of other messages.
"""

# These hold programs for other interpreters, or the words of AWS and the official agent.
_PROGRAMS = ("ssm_ssh/remote/", "ssm_ssh/cli/completion_scripts.py")
# Of the lab, these speak to its owner; its other modules speak for AWS.
_LAB = "ssm_ssh/lab/"
_LAB_OWNER = {
    f"{_LAB}{name}.py"
    for name in ("__main__", "client", "demo", "faults/choices", "faults/faults", "named_faults", "options")
}
# A class whose name ends so is an error of ours or of the installer.
_ERRORS = re.compile(
    r"(Error|Denied|Required|Refused|Changed|Missing|Throttled|Gone|Disconnected|NotTrusted|TargetNotConnected|Ended"
    r"|Failed|TimedOut|Broken|Fault)$"
)
_INTERNAL = {"ValueError", "TypeError", "AssertionError", "RuntimeError", "NotImplementedError", "KeyError", "OSError"}
_HELP_CALLS = {"add_argument", "add_parser", "add_subparsers", "add_argument_group", "command_parser", "Setting"}
_HELP_WORDS = {"help", "description", "epilog", "usage", "title"}
_HELP_NAMES = re.compile(r"HELP|USAGE|DESCRIPTION|EPILOG|WHERE|COMMANDS", re.IGNORECASE)
_KINDS = {
    **dict.fromkeys(
        ("print", "say", "tell", "row", "line", "table", "show", "write", "out", "paragraph", "raw"), "output"
    ),
    **dict.fromkeys(("info", "warn", "warning", "notice", "notify", "announce", "note", "progress"), "notice"),
    **dict.fromkeys(("debug", "event"), "log"),
}
# What is given to these is no sentence.
_SILENT = {
    *("compile", "search", "match", "fullmatch", "sub", "finditer", "findall", "split", "startswith", "endswith"),
    *("encode", "removeprefix", "removesuffix", "partition", "rpartition", "strptime", "strftime", "TypeVar", "cast"),
    *("Literal", "count", "index", "find", "run", "Popen"),
}
_SENTENCE = re.compile(r"[A-Za-z]{2,}[^A-Za-z\n]{0,4}\s[^A-Za-z\n]{0,3}[A-Za-z]")
# Shell, HTML, HTTP, HTTP's values, a signature, a pattern, Python.
_PROGRAM = re.compile(
    r"\$\(|\bfi\b|\bdone\b.*\bdo\b|^#!|</\w+>|HTTP/1|^[A-Z]\w+(-\w+)+: |^Connection: |^application/|^AWS4-HMAC-"
    r"|\w\|\w|^str \| |^<\w+ |import sys\n",
    re.DOTALL,
)


class Message(NamedTuple):
    """One sentence, and its kind: error, hint, help, output, notice, log or text."""

    kind: str
    text: str


def _name(node: ast.expr) -> str:
    """Return a short name of what is filled in."""
    if isinstance(node, ast.Name):
        return node.id.strip("_")
    if isinstance(node, ast.Attribute):
        return node.attr.strip("_")
    if isinstance(node, ast.Call):
        callee = _name(node.func)
        inner = callee in {"printable", "str", "len", "repr", "quote", "shown", "int", "round"} and node.args
        return _name(node.args[0]) if inner else callee
    if isinstance(node, ast.Subscript | ast.Await | ast.Starred):
        return _name(node.value)
    if isinstance(node, ast.BinOp):
        return _name(node.left)
    if isinstance(node, ast.Constant):
        return str(node.value)
    return "..."


def _is_text(node: ast.expr) -> bool:
    """Tell whether `node` is, or is put together from, a string literal."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Add | ast.Mod) and (_is_text(node.left) or _is_text(node.right))
    return isinstance(node, ast.JoinedStr)


def _render(node: ast.expr) -> str:
    """Return the text of a string expression with what is filled in as {name}, and what may be missing as [text]."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(_render(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _render(node.value)
    if isinstance(node, ast.BinOp) and _is_text(node):
        return _render(node.left) + ("" if isinstance(node.op, ast.Mod) else _render(node.right))
    if isinstance(node, ast.IfExp) and (_is_text(node.body) or _is_text(node.orelse)):
        branches = [text for text in (_render(node.body), _render(node.orelse)) if text]
        return f"[{' | '.join(branches)}]"
    if isinstance(node, ast.BoolOp):
        texts = [_render(value) for value in node.values if _is_text(value)]
        return f"[{' | '.join([_name(node.values[0]), *texts])}]" if texts else f"{{{_name(node.values[0])}}}"
    return f"{{{_name(node)}}}"


def _is_sentence(text: str) -> bool:
    plain = re.sub(r"\{[^{}]*\}", "x", text)
    return bool(_SENTENCE.search(plain)) and not _PROGRAM.search(text)


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._kind = "text"

    def _within(self, kind: str, *nodes: ast.AST) -> None:
        before, self._kind = self._kind, kind
        for node in nodes:
            self.visit(node)
        self._kind = before

    def visit_Expr(self, node: ast.Expr) -> None:
        if not isinstance(node.value, ast.Constant):  # a docstring
            self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        named = any(isinstance(target, ast.Name) and _HELP_NAMES.search(target.id) for target in node.targets)
        self._within("help" if named else self._kind, node.value)

    def visit_Assert(self, node: ast.Assert) -> None:
        """An assertion is not for users."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit_Assign(ast.Assign([node.target], node.value))

    def visit_arguments(self, node: ast.arguments) -> None:
        for default in (*node.defaults, *node.kw_defaults):
            if default is not None:
                self.visit(default)

    def visit_Compare(self, node: ast.Compare) -> None:
        """A comparison is with the words of other programs."""
        for part in (node.left, *node.comparators):
            if not _is_text(part):
                self.visit(part)

    def visit_Call(self, node: ast.Call) -> None:
        name = _name(node.func)
        if name in _SILENT or name in _INTERNAL:
            for part in (node.func, *node.args):
                if not _is_text(part):
                    self.visit(part)
            return
        self.visit(node.func)
        is_error = bool(_ERRORS.search(name))
        kind = "error" if is_error or name == "error" else _KINDS.get(name.removeprefix("say_"), self._kind)
        if name in _HELP_CALLS or name.endswith(("ArgumentParser", "Arguments")):
            kind = "help"
        for index, argument in enumerate(node.args):
            self._within("hint" if is_error and index == 1 else kind, argument)
        for keyword in node.keywords:
            word = keyword.arg or ""
            self._within("hint" if word == "hint" else "help" if word in _HELP_WORDS else kind, keyword.value)

    def visit_Dict(self, node: ast.Dict) -> None:
        for value in node.values:
            self.visit(value)

    def _add(self, node: ast.expr) -> None:
        text = _render(node)
        if _is_sentence(text):
            self.messages.append(Message(self._kind, text.strip()))

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._add(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        self._add(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if _is_text(node):
            self._add(node)
        else:
            self.generic_visit(node)


def of_python(source: str) -> list[Message]:
    """Return the sentences of a module in their order, each once."""
    reader = _Reader()
    reader.visit(ast.parse(source))
    return list(dict.fromkeys(reader.messages))


def of_shell(source: str) -> list[Message]:
    """Return what `say` and `echo` print in a shell script, and its usage."""
    texts = re.findall(r"\b(?:say|fail|echo)\s+\"([^\"]+)\"", source)
    return [Message("output", text) for text in dict.fromkeys(texts) if _is_sentence(text)]


def modules() -> Iterator[tuple[str, list[Message]]]:
    """Yield each file that has sentences, with them."""
    yield "install.sh", of_shell((ROOT / "install.sh").read_text(encoding="utf-8"))
    for folder in ("installer", "ssm_ssh"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if name.startswith(_PROGRAMS) or (name.startswith(_LAB) and name not in _LAB_OWNER):
                continue
            if messages := of_python(path.read_text(encoding="utf-8")):
                yield name, messages


def page() -> str:
    """Return docs/messages.md as it must be."""
    parts = [INTRODUCTION]
    for name, messages in modules():
        lines = []
        for kind, text in messages:
            first, *rest = text.splitlines()
            lines += (
                [f"{kind:<8}{first}", *(f"{'':8}{line}".rstrip() for line in rest)] if rest else _wrapped(kind, text)
            )
        parts.append(f"## {name}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def _wrapped(kind: str, text: str) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(text, WIDTH, initial_indent=f"{kind:<8}", subsequent_indent=indent, break_on_hyphens=False)


if __name__ == "__main__":
    MESSAGES.write_text(page(), encoding="utf-8")
