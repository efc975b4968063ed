import pytest
from hypothesis import given
from hypothesis import strategies as st

from flight_delay.months import MonthsError, Split, parse


@pytest.mark.parametrize(
    ("text", "train", "evaluate"),
    [("3", (3,), 4), ("1-3", (1, 2, 3), 4), ("01-03", (1, 2, 3), 4), (" 11 ", (11,), 12)],
)
def test_a_month_or_a_range(text: str, train: tuple[int, ...], evaluate: int) -> None:
    assert parse(text) == Split(train=train, evaluate=evaluate)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3-1", "'3-1' is outside 1 to 12 or runs backwards; write 3 or 1-3"),
        ("0", "'0' is outside 1 to 12"),
        ("2-13", "'2-13' is outside 1 to 12"),
        ("12", "'12' ends in December, .* end in month 11 or earlier"),
        ("1-12", "'1-12' ends in December"),
        ("", "'' is not a month or a range of months; write 3 or 1-3"),
        ("January", "'January' is not a month"),
        ("1,2", "'1,2' is not a month"),
        ("1-", "'1-' is not a month"),
        ("-1", "'-1' is not a month"),
        ("001", "'001' is not a month"),
        ("٣", "'٣' is not a month"),
    ],
)
def test_other_text_is_refused_with_the_remedy(text: str, message: str) -> None:
    with pytest.raises(MonthsError, match=message):
        parse(text)


@given(st.integers(1, 11), st.integers(1, 11))
def test_evaluation_follows_training(one: int, other: int) -> None:
    first, last = sorted((one, other))
    split = parse(f"{first}-{last}")
    assert split.train == tuple(range(first, last + 1))
    assert split.evaluate == last + 1


@given(st.text(max_size=8))
def test_any_text_gives_months_of_the_year_or_the_one_error(text: str) -> None:
    try:
        split = parse(text)
    except MonthsError as error:
        assert repr(text) in str(error)
    else:
        assert set(split.train) <= set(range(1, 12))
