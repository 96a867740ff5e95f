"""Sets of addresses, compared with looking at each address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ssm_ssh.doctor.blocks import Block, Share, block, covered, overlap, share, together, without
from tests.doctor.blocks import ADDRESSES, BLOCKS, WHOLE, net


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("10.1.2.3/16", "10.1.0.0/16"), ("10.1.2.3", "10.1.2.3/32"), ("::1/64", "::/64"), ("pl-1", ""), ("", "")],
)
def test_blocks_from_text(text: str, wanted: str) -> None:
    assert block(text) == (net(wanted) if wanted else None)


@given(whole=BLOCKS, parts=st.lists(BLOCKS, max_size=6))
def test_what_is_covered(whole: Block, parts: list[Block]) -> None:
    inside = [any(address in part for part in parts) for address in whole]
    wanted = Share.ALL if all(inside) else Share.SOME if any(inside) else Share.NONE
    assert covered(whole, parts) is wanted


@given(blocks=st.lists(BLOCKS, max_size=4), taken=BLOCKS)
def test_what_is_left(blocks: list[Block], taken: Block) -> None:
    left = without(blocks, taken)
    for address in ADDRESSES:
        assert any(address in item for item in left) == (
            any(address in item for item in blocks) and address not in taken
        )


def test_versions_have_nothing_in_common() -> None:
    assert not overlap(net("0.0.0.0/0"), net("::/0"))
    assert without([net("0.0.0.0/0")], net("::/0")) == [net("0.0.0.0/0")]
    assert covered(WHOLE, [net("::/0")]) is Share.NONE
    assert covered(net("0.0.0.0/0"), [net("0.0.0.0/1"), net("128.0.0.0/1")]) is Share.ALL


@given(st.lists(st.sampled_from(Share)))
def test_shares_of_parts(shares: list[Share]) -> None:
    seen = together(shares)
    if all(item is Share.ALL for item in shares):
        assert seen is Share.ALL
    elif all(item is Share.NONE for item in shares):
        assert seen is Share.NONE
    else:
        assert seen is Share.SOME


def test_a_share_by_its_parts() -> None:
    assert share(allowed=False, denied=False) is Share.NONE
    assert share(allowed=True, denied=True) is Share.SOME
