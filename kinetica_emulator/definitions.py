"""Column definitions of SQL: types as SQL names them, properties, nullability, defaults.

Columns are nullable unless NOT NULL or part of the primary key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from kinetica_emulator.errors import RequestError
from kinetica_emulator.sqltext import Token

_TYPES: Mapping[str, str] = {
    "BOOLEAN": "boolean",
    "TINYINT": "int8",
    "BYTE": "int8",
    "SMALLINT": "int16",
    "INTEGER": "int",
    "INT": "int",
    "BIGINT": "long",
    "LONG": "long",
    "REAL": "float",
    "FLOAT": "float",
    "DOUBLE": "double",
    "IPV4": "ipv4",
    "UUID": "uuid",
    "JSON": "json",
    "DATE": "date",
    "TYPE_DATE": "date",
    "TIME": "time",
    "TYPE_TIME": "time",
    "DATETIME": "datetime",
    "TIMESTAMP": "timestamp",
    "TYPE_TIMESTAMP": "timestamp",
    "GEOMETRY": "wkt",
    "ST_GEOMETRY": "wkt",
    "WKT": "wkt",
}
_TEXTS = frozenset({"VARCHAR", "CHAR", "STRING", "TEXT"})
_BYTES = frozenset({"BLOB", "BINARY", "BYTES", "VARBINARY"})
_CHAR_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Reader:
    """Walks through the tokens of a statement.

    Raises:
        RequestError: from any method, where the statement is not what it expects.
    """

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0

    @property
    def done(self) -> bool:
        """Whether all tokens were taken."""
        return self._position >= len(self._tokens)

    def peek(self, ahead: int = 0) -> Token:
        """Return a token without taking it; one without text at the end."""
        position = self._position + ahead
        return self._tokens[position] if position < len(self._tokens) else Token("end", "")

    def take(self) -> Token:
        """Take the next token."""
        token = self.peek()
        if token.kind == "end":
            raise RequestError("SQL: the statement ends too early")
        self._position += 1
        return token

    def skip(self, *words: str) -> bool:
        """Take these keywords or signs if they come next, all of them."""
        for ahead, word in enumerate(words):
            token = self.peek(ahead)
            if word not in (token.upper, token.text):
                return False
        self._position += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Take these keywords or signs."""
        if not self.skip(*words):
            raise RequestError(f"SQL: expected {' '.join(words)} before '{self.peek().text}'")

    def name(self) -> str:
        """Take an identifier."""
        token = self.take()
        if not token.is_name:
            raise RequestError(f"SQL: expected a name, not '{token.text}'")
        return token.name

    def table_name(self) -> str:
        """Take `table` or `schema.table`."""
        name = self.name()
        return f"{name}.{self.name()}" if self.skip(".") else name

    def names(self) -> list[str]:
        """Take a list of identifiers in brackets."""
        self.expect("(")
        names = [self.name()]
        while self.skip(","):
            names.append(self.name())
        self.expect(")")
        return names

    def rest(self) -> list[Token]:
        """Take all that is left."""
        rest = self._tokens[self._position :]
        self._position = len(self._tokens)
        return rest


@dataclass(slots=True)
class Definition:
    """One column as a statement defines it."""

    name: str
    type_name: str
    marks: list[str] = field(default_factory=list)
    default: str | None = None
    expression: str = ""


def read_definition(reader: Reader, name: str) -> Definition:
    """Read what follows a column's name: its type, and what is said about it.

    Raises:
        RequestError: it is not a definition.
    """
    definition = Definition(name, "")
    _read_type(reader, definition)
    nullable = "primary_key" not in definition.marks
    while not reader.done and reader.peek().text not in (",", ")"):
        if reader.skip("NOT", "NULL"):
            nullable = False
        elif reader.skip("NULL"):
            nullable = True
        elif reader.skip("PRIMARY", "KEY"):
            definition.marks.append("primary_key")
            nullable = False
        elif reader.skip("DEFAULT"):
            _read_default(reader, definition)
        elif reader.peek().upper in ("FIRST", "AFTER"):
            break
        else:
            raise RequestError(f"SQL: unexpected '{reader.peek().text}' in column {name}")
    if nullable and "nullable" not in definition.marks:
        definition.marks.append("nullable")
    return definition


def _read_default(reader: Reader, definition: Definition) -> None:
    token = reader.take()
    sign = token.text if token.text in ("-", "+") else ""
    if sign:
        token = reader.take()
    if token.kind == "string":
        definition.default = token.text[1:-1].replace("''", "'")
    elif token.kind == "number":
        definition.default = sign + token.text
    elif token.upper in ("TRUE", "FALSE", "NULL"):
        definition.default = None if token.upper == "NULL" else token.text.lower()
    else:
        definition.expression = token.text


def _read_type(reader: Reader, definition: Definition) -> None:
    word = reader.name().upper()
    if word == "UNSIGNED":
        reader.name()
        kind = "ulong"
    else:
        kind = ""
    arguments = _arguments(reader)
    if reader.skip("["):
        size = "" if reader.peek().text == "]" else f",{reader.take().text}"
        reader.expect("]")
        element = kind or ("string" if word in _TEXTS else _TYPES.get(word, ""))
        definition.type_name = f"array({element}{size})"
        definition.marks += _marks(arguments)
        return
    numbers = [text for text in arguments if text.lstrip("-").isdecimal()]
    definition.marks += _marks(text for text in arguments if text not in numbers)
    if kind:
        definition.type_name = kind
    elif word in ("DECIMAL", "NUMERIC"):
        precision = ",".join(numbers)
        definition.type_name = f"decimal({precision})" if numbers else "long"
        if word == "NUMERIC" and not numbers:
            definition.type_name = "decimal"
    elif word == "VECTOR":
        definition.type_name = f"vector({','.join(numbers)})"
    elif word in _TEXTS:
        definition.type_name = _text_type(numbers)
    elif word in _BYTES:
        definition.type_name = "bytes"
    elif word in _TYPES:
        definition.type_name = _TYPES[word]
    else:
        raise RequestError(f"SQL: unknown column type '{word}'")


def _arguments(reader: Reader) -> list[str]:
    """Read a bracketed list after a type, each element's tokens run together."""
    if not reader.skip("("):
        return []
    arguments, text, depth = [], "", 0
    while True:
        token = reader.take()
        if token.text == ")" and depth == 0:
            break
        if token.text == "," and depth == 0:
            arguments.append(text)
            text = ""
            continue
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        text += token.text
    return [*arguments, text]


def _marks(arguments: Iterable[str]) -> list[str]:
    return [text.lower() for text in arguments]


def _text_type(numbers: list[str]) -> str:
    if not numbers:
        return "string"
    return next((f"char{size}" for size in _CHAR_SIZES if size >= int(numbers[0])), "string")
