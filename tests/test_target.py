import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.target import parse_target


@pytest.mark.parametrize("host", ["i-0123456789abcdef0", "i-01234567", "mi-0123456789abcdef0"])
def test_instance_ids_are_taken(host: str) -> None:
    target = parse_target(host)
    assert target.instance_id == host
    assert target == parse_target(host)
    assert hash(target) == hash(parse_target(host))
    assert host in repr(target)
    assert target.hybrid == host.startswith("mi-")


@pytest.mark.parametrize(
    "host",
    [
        "",
        "i-",
        "i-0123456789abcdef",
        "i-0123456789abcdef01",
        "I-0123456789abcdef0",
        "i-0123456789ABCDEF0",
        "mi-01234567",
        "i-love.example.com",
        "i-0123456789abcdef0\n",
        "i-0123456789abcdef0;id",
        "$(id)",
        "--debug",
        "i-０１２３４５６７",  # noqa: RUF001 - digits that are not ASCII
    ],
)
def test_other_hosts_are_refused_in_one_line(host: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(host)
    assert "is not an instance id" in caught.value.sentence()
    assert "\n" not in caught.value.sentence()


@given(st.text())
def test_whatever_comes_it_is_a_target_or_one_clear_line(host: str) -> None:
    try:
        parse_target(host)
    except UsageError as error:
        assert error.sentence().isprintable()
