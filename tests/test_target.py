import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.errors import UsageError
from ssm_ssh.target import parse_target


@pytest.mark.parametrize("host", ["i-0123456789abcdef0", "i-01234567", "mi-0123456789abcdef0"])
def test_instance_ids_are_taken(host: str) -> None:
    target = parse_target(host, "2222", "ec2-user")
    assert target == (host, 2222, "ec2-user")
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
        parse_target(host, "22", "ec2-user")
    assert "is not an instance id" in caught.value.sentence()
    assert "\n" not in caught.value.sentence()


@pytest.mark.parametrize("port", ["", "0", "65536", "-1", "22 ", "2_2", "٢٢", "0x16", "1e2", "9" * 5000])
def test_ports_that_are_none(port: str) -> None:
    with pytest.raises(UsageError, match="is not a port"):
        parse_target("i-01234567", port, "ec2-user")


@pytest.mark.parametrize("user", ["ec2-user", "ubuntu", "admin", "a", "svc$", "alice.b", "alice@corp", "_apt", "1000"])
def test_user_names(user: str) -> None:
    assert parse_target("i-01234567", "22", user).user == user


@pytest.mark.parametrize(
    "user", ["", "-oProxy", "a b", "a'b", 'a"b', "$(id)", "a\nb", "a;b", "a/b", "ü", "x" * 66, "{{"]
)
def test_user_names_that_are_none(user: str) -> None:
    with pytest.raises(UsageError, match="is not a user name"):
        parse_target("i-01234567", "22", user)


@given(st.text(), st.text(), st.text())
def test_whatever_comes_it_is_a_target_or_one_clear_line(host: str, port: str, user: str) -> None:
    try:
        parse_target(host, port, user)
    except UsageError as error:
        assert error.sentence().isprintable()
