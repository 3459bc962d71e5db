"""What a text in prose says by place."""

from hypothesis import given
from hypothesis import strategies as st

from warmup_rl.dlcot.text import Text

PIECES = st.sampled_from(['"Ann is a knight', '"', " Ann says", " 12,000", " x", ". ", "\n", "Bob claims ", "é 3.5"])


@given(st.lists(PIECES, max_size=12).map("".join), st.data())
def test_a_stretch_says_what_begins_and_ends_in_it(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    source = Text(text)
    found = zip(source._hard.starts, source._hard.ends, source._hard.said, strict=True)
    assert source.hard(start, end) == {said for first, last, said in found if start <= first and last <= end}
    assert list(source._hard.starts) == sorted(source._hard.starts)
