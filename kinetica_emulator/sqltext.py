"""Kinetica's SQL, as far as it differs from that of SQLite: a tokeniser, and rewriting of names.

A table lives in SQLite under its qualified name as one identifier, so `ki_home.orders` in a
statement becomes `"ki_home.orders"`, with the bare name as its alias where none is given, so
that `orders.amount` goes on meaning the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kinetica_emulator.errors import RequestError

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)
      | (?P<string>'(?:[^']|'')*')
      | (?P<quoted>"(?:[^"]|"")*"|`[^`]*`)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>&&|\|\||==|!=|<>|<=|>=|<<|>>|.)
    """,
    re.VERBOSE | re.DOTALL,
)

# A table's name follows one of these; a comma continues such a list.
_BEFORE_TABLE = frozenset({"FROM", "JOIN", "INTO", "UPDATE", "TABLE"})
# What may follow a table's name without being its alias.
_NO_ALIAS = frozenset(
    [
        "WHERE",
        "SET",
        "VALUES",
        "SELECT",
        "ON",
        "USING",
        "JOIN",
        "INNER",
        "LEFT",
        "RIGHT",
        "FULL",
        "CROSS",
        "NATURAL",
        "OUTER",
        "GROUP",
        "ORDER",
        "HAVING",
        "LIMIT",
        "OFFSET",
        "UNION",
        "INTERSECT",
        "EXCEPT",
        "DEFAULT",
        "WINDOW",
        "RETURNING",
        "INDEXED",
        "NOT",
    ]
)
# A double has 15 digits for certain; one place is the point's.
_KEPT_DIGITS = 16
_BEFORE_OPERAND = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "WHEN", "THEN", "ELSE", "LIKE"})
_ENDS_TABLES = _NO_ALIAS - {"JOIN", "ON", "USING", "INNER", "LEFT", "CROSS"}


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of SQL.

    Attributes:
        kind: string, quoted (an identifier), number, word or sign.
        text: as it stands in the statement.
    """

    kind: str
    text: str

    @property
    def upper(self) -> str:
        """The keyword it would be; nothing for what is quoted."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def name(self) -> str:
        """The identifier it stands for."""
        if self.kind == "quoted":
            mark = self.text[0]
            return self.text[1:-1].replace(mark * 2, mark)
        return self.text

    @property
    def is_name(self) -> bool:
        """Whether it can be an identifier."""
        return self.kind in ("word", "quoted")


def tokenise(text: str) -> list[Token]:
    """Split SQL into tokens, without white space and comments.

    Raises:
        RequestError: an open string, or an open quoted name.
    """
    tokens = []
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "space":
            continue
        if kind == "sign" and match.group() in "'\"`":
            raise RequestError(f"SQL: unclosed {match.group()} at position {match.start()}")
        tokens.append(Token(kind, match.group()))
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens


def join(tokens: Sequence[Token]) -> str:
    """Write tokens as SQL again."""
    return " ".join(token.text for token in tokens)


def quote(name: str) -> str:
    """Quote an identifier.

    >>> quote('a"b')
    '"a""b"'
    """
    return '"' + name.replace('"', '""') + '"'


def expression(text: str) -> str:
    """Rewrite a filter expression of the native API for SQLite.

    Raises:
        RequestError: it is empty, or not one expression.
    """
    tokens = tokenise(text)
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if depth < 0 or token.text == ";":
            break
    if not tokens or depth != 0:
        raise RequestError(f"Invalid expression: {text!r}")
    return join([_operator(token) for token in exact(tokens)])


def exact(tokens: Sequence[Token]) -> list[Token]:
    """Write numbers that SQLite would round as texts: columns compare with these exactly."""
    out: list[Token] = []
    for token in tokens:
        if token.kind != "number" or _is_kept(token.text):
            out.append(token)
            continue
        sign = ""
        if out and out[-1].text == "-" and (len(out) == 1 or _opens(out[-2])):
            sign = out.pop().text
        out.append(Token("string", f"'{sign}{token.text}'"))
    return out


def _is_kept(number: str) -> bool:
    """Say whether SQLite keeps all digits of a number."""
    if number.isdecimal():
        return int(number) < 2**63
    return "e" in number.lower() or len(number) <= _KEPT_DIGITS


def _opens(token: Token) -> bool:
    """Say whether a sign after this is that of a number, not a subtraction."""
    if token.kind == "word":
        return token.upper in _BEFORE_OPERAND
    return token.kind == "sign" and token.text != ")"


def _operator(token: Token) -> Token:
    return Token("word", "AND") if token.text == "&&" else token


def rewrite_tables(tokens: Sequence[Token], resolve: Callable[[str], str | None]) -> list[Token]:
    """Replace the tables' names by those they have in SQLite.

    Args:
        tokens: a statement.
        resolve: a name as written, `orders` or `ki_home.orders`, to the qualified name of an
            existing table, None if there is none.
    """
    out: list[Token] = []
    tokens = exact(tokens)
    position, expecting, listing = 0, False, False
    while position < len(tokens):
        token = tokens[position]
        written, length = _dotted(tokens, position)
        table = resolve(written) if length else None
        if expecting and table:
            out.append(Token("quoted", quote(table)))
            position += length
            following = tokens[position] if position < len(tokens) else None
            if not _has_alias(following):
                out += [Token("word", "AS"), Token("quoted", quote(written.rpartition(".")[2]))]
            expecting, listing = False, True
            continue
        if length == 5 and resolve(written.rpartition(".")[0]):
            # schema.table.column: the table's alias carries on.
            out += [_operator(part) for part in tokens[position + 2 : position + 5]]
            position += 5
            continue
        if token.upper in _BEFORE_TABLE or (token.text == "," and listing):
            expecting = True
        elif token.upper in _ENDS_TABLES or token.text == "(":
            expecting = listing = False
        out.append(_operator(token))
        position += 1
    return out


def _has_alias(following: Token | None) -> bool:
    if following is None or not following.is_name:
        return False
    return following.upper not in _NO_ALIAS


def _dotted(tokens: Sequence[Token], position: int) -> tuple[str, int]:
    """Read `a`, `a.b` or `a.b.c`: the name, and how many tokens it takes (0 if none)."""
    if not tokens[position].is_name:
        return "", 0
    parts, length = [tokens[position].name], 1
    while (
        position + length + 1 < len(tokens)
        and tokens[position + length].text == "."
        and tokens[position + length + 1].is_name
        and len(parts) < 3
    ):
        parts.append(tokens[position + length + 1].name)
        length += 2
    return ".".join(parts), length
