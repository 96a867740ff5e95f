import copy
import pickle
import subprocess
import sys
import typing
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh import startup


class Original(typing.NamedTuple):
    first: int
    second: str = "b"
    third: tuple[int, ...] = ()


class StandIn(startup.NamedTuple):
    """A tuple."""

    first: int
    second: str = "b"
    third: tuple[int, ...] = ()

    @property
    def sum(self) -> int:
        return self.first + len(self.third)


class More(StandIn):
    """Another method alone."""

    def twice(self) -> int:
        return 2 * self.first


def outcome(kind: Callable[..., Iterable[object]], values: list[int], named: dict[str, int]) -> object:
    try:
        return tuple(kind(*values, **named))
    except TypeError:
        return TypeError


@given(
    st.lists(st.integers(), max_size=4),
    st.dictionaries(st.sampled_from(["first", "second", "third", "fourth"]), st.integers()),
)
def test_it_takes_the_arguments_of_the_original(values: list[int], named: dict[str, int]) -> None:
    assert outcome(StandIn, values, named) == outcome(Original, values, named)


def test_it_behaves_as_the_original() -> None:
    made, original = StandIn(1, third=(2,)), Original(1, third=(2,))
    assert made == original
    assert hash(made) == hash(original)
    assert repr(made) == repr(original).replace("Original", "StandIn")
    assert (made.first, made.second, made.third, made.sum) == (1, "b", (2,), 2)
    assert made._asdict() == original._asdict()
    assert made._replace(second="c") == original._replace(second="c")
    assert type(made._replace(second="c")) is StandIn
    assert StandIn._make([1, "b", (2,)]) == made
    assert (StandIn._fields, StandIn._field_defaults) == (Original._fields, Original._field_defaults)
    assert pickle.loads(pickle.dumps(made)) == copy.copy(made) == made
    assert not hasattr(made, "__dict__")
    with pytest.raises(AttributeError):
        made.first = 2  # type: ignore[misc]
    with pytest.raises(ValueError, match="fourth"):
        made._replace(fourth=1)
    match made:
        case StandIn(first, second):
            assert (first, second) == (1, "b")


def test_a_class_of_it_may_add_methods() -> None:
    assert More(3, "c").twice() == 6
    assert More(3)._replace(first=4) == (4, "b", ())


def test_it_imports_nothing_slow() -> None:
    program = "import sys; before = set(sys.modules); import ssm_ssh.startup; print(*set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert {"typing", "random", "collections", "enum"}.isdisjoint(done.stdout.split())
