"""Stand-ins for parts of `typing` that cost time whenever a connection starts.

Type checkers see the originals. Importing typing takes 4 ms, and each NamedTuple class 0.4 ms, because its
methods are compiled from text. A connection needs about fifty such classes. An instance of the stand-in is created as
fast if all values are given by position, and four times as slowly with names or defaults, so what is created for each
message of a session gives all by position.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Generic as Generic
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
else:
    from _collections import _tuplegetter

    class _NamedTupleType(type):
        """Makes the annotations of a class the fields of a tuple, in order; values given to them are defaults."""

        def __new__(cls, name, bases, namespace):
            namespace["__slots__"] = ()
            if any(getattr(base, "_fields", ()) for base in bases):  # it adds methods alone
                return super().__new__(cls, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            namespace["_field_defaults"] = {field: namespace[field] for field in fields if field in namespace}
            for index, field in enumerate(fields):
                namespace[field] = _tuplegetter(index, "")
            namespace["_fields"] = namespace["__match_args__"] = fields
            return super().__new__(cls, name, bases, namespace)

    class NamedTuple(tuple, metaclass=_NamedTupleType):
        """A tuple with named fields: `class Point(NamedTuple)`, with annotated fields and defaults."""

        def __new__(cls, /, *values, **named):
            if named or len(values) != len(cls._fields):
                values = cls._completed(values, named)
            return tuple.__new__(cls, values)

        @classmethod
        def _completed(cls, values, named):
            """Return the value of each field. Raises TypeError as a function with these parameters does."""
            rest = cls._fields[len(values) :]
            given = {**cls._field_defaults, **named}
            missing = [field for field in rest if field not in given]
            if missing or len(values) > len(cls._fields) or not named.keys() <= set(rest):
                raise TypeError(f"{cls.__name__}() takes {cls._fields}, not {len(values)} values and {sorted(named)}")
            return (*values, *(given[field] for field in rest))

        def __repr__(self):
            pairs = zip(self._fields, self, strict=True)
            return f"{type(self).__name__}({', '.join(f'{field}={value!r}' for field, value in pairs)})"

        def __getnewargs__(self):
            return tuple(self)

        def _replace(self, **changed):
            """Return a copy with other values for some fields. Raises ValueError for what is no field."""
            if not changed.keys() <= set(self._fields):
                raise ValueError(f"{type(self).__name__} has no fields {sorted(changed.keys() - set(self._fields))}")
            return type(self)(*(changed.get(field, value) for field, value in zip(self._fields, self, strict=True)))

        def _asdict(self):
            """Return the fields as a new dictionary."""
            return dict(zip(self._fields, self, strict=True))

        @classmethod
        def _make(cls, values):
            """Return a tuple of these values, one for each field."""
            return cls(*values)

    class Generic:
        """A class with type parameters, which mean nothing at run time."""

        def __class_getitem__(cls, _):
            return cls

    Protocol = Generic

    def TypeVar(name, **_):
        """Return something to name a type parameter by."""
        return name
