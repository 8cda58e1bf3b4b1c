"""Rewards as GRPO gets them: the terms of sapphire.rewards, from token ids."""

import pytest

from sapphire.completions import compose
from sapphire.drg.codebook import codebook
from train.recipe import Recipe
from train.rewards import functions, rewards_of

GOLD = codebook().drgs["291"]  # heart failure and shock with MCC
OTHER = {
    "full": GOLD.title,
    "base": codebook().drgs["293"].title,
    "severity": codebook().drgs["871"].title,
    "nothing": codebook().drgs["313"].title,
    "invalid": "HEART FAILURE",
}
TABLE = {"dense": (2, 1.5, 0.5, -0.5, -1.5), "balanced": (2, 1, 1, -0.5, -1.5), "strict": (2, 0, 0, 0, -1.5)}


def encode(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def decode(ids) -> str:
    return "".join(map(chr, ids))


def rewards(**settings):
    return rewards_of(Recipe("grpo", "x", "m", ("d",), **settings), decode)


def rows(count: int = 1, **more) -> dict[str, list]:
    columns = {"case_id": "c", "drg": "291", "drg_version": "43.1"} | more
    return {name: [value] * count for name, value in columns.items()}


@pytest.mark.parametrize("scheme", TABLE)
def test_the_accuracy_is_the_papers_table_and_the_format_comes_first(scheme):
    said = [encode(compose("reasons", title.upper())) for title in OTHER.values()]
    made = rewards(reward=scheme)
    terms = made.terms(said, rows(5))
    assert terms["accuracy"] == list(TABLE[scheme])
    assert terms["format"] == [0] * 5
    assert terms["right"] == [1, 0, 0, 0, 0]
    assert terms["base_right"] == [1, 1, 0, 0, 0]
    assert terms["severity_right"] == [1, 0, 1, 0, 0]
    assert made.totals(said, rows(5)) == list(TABLE[scheme])  # what is right counts nothing itself
    loose = encode(compose("reasons", GOLD.title) + " done")
    assert made.totals([loose], rows()) == [-2]


def test_every_gold_title_earns_the_most():
    made = rewards()
    for drg in codebook().drgs.values():
        assert made.totals([encode(compose("x", drg.title.upper()))], rows(drg=drg.drg)) == [2]


def test_a_title_in_the_first_fifty_tokens_of_the_reasoning_costs_only_where_the_recipe_says_so():
    title = GOLD.title.upper()  # one token a letter here
    early = encode(compose("It is " + title, title))
    late = encode(compose("-" * 20 + title, title))
    assert len(title) + len("It is ") < 50 < 20 + len(title)
    for made, total in ((rewards(), 2), (rewards(cot_first=True), 1.5)):
        assert made.terms([early, late], rows(2))["cot_first"] == [-0.5, 0]
        assert made.totals([early, late], rows(2)) == [total, 2]


def test_the_grounded_term_is_the_share_of_true_lines():
    stay = {"text": "Decompensated HFrEF. HTN.", "age": 70, "sex": "M", "discharge_status": 1}
    stay |= {"pdx": "I5023", "sdx": ["I10"], "procedures": []}
    true = '- principal diagnosis "Decompensated HFrEF": acute on chronic systolic heart failure (I50.23)\n- "HTN": hypertension (I10), none'
    false = true.replace("(I10), none", "(I10), MCC, counts")
    said = [encode(compose(text, GOLD.title.upper())) for text in (true, false, "It is so.")]
    metric, reward = rewards(grounded=0.0), rewards(grounded=1.0)
    assert metric.terms(said, rows(3, **stay))["grounded"] == [1, 0.5, 0]
    assert metric.totals(said, rows(3, **stay)) == [2, 2, 2]
    assert reward.totals(said, rows(3, **stay)) == [3, 2.5, 2]
    assert reward.terms(said[:1], rows(**(stay | {"age": None})))["grounded"] == [None]
    assert reward.totals(said[:1], rows(**(stay | {"age": None}))) == [2]
    assert "grounded" not in rewards().weights


def test_trl_gets_one_function_a_term_and_each_completion_is_judged_once():
    count = []
    made = rewards()
    made.decode = lambda ids: count.append(1) or decode(ids)
    given = functions(made)
    assert [each.__name__ for each in given] == list(made.weights)
    logged = {}
    ids = [encode(compose("x", GOLD.title.upper()))] * 3
    call = {
        "prompts": [[]] * 3,
        "completions": [[]] * 3,
        "completion_ids": ids,
        "log_extra": logged.__setitem__,
        "trainer_state": None,
    }
    first = given[0](**call, **rows(3))
    seen = len(count)
    assert [first, given[1](**call, **rows(3))] == [[0] * 3, [2] * 3]
    assert len(count) == seen
    assert logged["case_id"] == ["c"] * 3 and logged["tokens"] == [len(ids[0])] * 3
