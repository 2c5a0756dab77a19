"""Extraction of the answer from a text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlvrscope.errors import InputError
from rlvrscope.verify.decision import Refused
from rlvrscope.verify.extract import FORMS, MAX_ANSWERS, TAIL, forms_with_answers
from rlvrscope.verify.extract import extract as answers_in

PIECES = [
    "\\boxed{",
    "}",
    "{",
    "\\{",
    "\\}",
    "\\",
    "5",
    " ",
    "\n",
    "x",
    "\\boxed",
    "####",
    "<answer>",
    "</answer>",
    "the answer is ",
]


def extract(text: str, forms: Sequence[str] = ("boxed",)) -> str | None:
    """The last answer, which counts."""
    return (answers_in(text, forms) or [None])[-1]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("\\boxed{5}", "5"),
        ("\\boxed {5}", "5"),
        ("first \\boxed{4}, then \\boxed{5}", "5"),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
        ("{ \\boxed{5}", "5"),
        ("} \\boxed{5} {", "5"),
        ("\\boxed{5} and \\boxed{6", None),  # cut short: there is no answer
        ("\\boxed{5} and \\boxed" + " " * 1_000 + "{6", None),
        ("\\boxed{5} and \\boxed", None),
        ("\\boxed{5 and \\boxed{6}", None),
        ("\\boxed{1} <think> \\boxed{2} </think> \\boxed{3}", "3"),
        ("<think> \\boxed{2} </think> It is 3.", None),
        ("\\boxed{2} </think> \\boxed{3}", "3"),  # a template that has opened the reasoning
        ("<think> \\boxed{2}", None),
        ("\\fbox{5}", "5"),
        ("\\boxed 5 apples", "5"),
        ("\\boxed \\pi", "\\pi"),
        ("\\boxed{\\boxed{5}}", "5"),
        ("\\boxed{5} \\boxed{}", "5"),
        ("\\boxed{}", ""),
        ("\\\\\\boxed{5}", "5"),  # after a line break
        ("5", None),
        ("\\\\boxed{5}", None),  # a line break, and "boxed"
        ("boxed{5}", None),
        ("\\boxed{5", None),
        ("", None),
    ],
)
def test_the_last_complete_box(text: str, answer: str | None):
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("form", "text", "answer"),
    [
        ("hashes", "so\n#### 1,234\n", "1,234"),
        ("hashes", "#### 4\n#### 5", "5"),
        ("hashes", "so\n#### **18**", "18"),
        ("hashes", "so\n#### Answer: 18", "18"),
        ("hashes", "so\n#### **The answer is 18**", "18"),
        ("phrase", "Thus the final answer is: $5$. Good.", "$5$"),
        ("phrase", "The answer is **4.5**", "4.5"),
        ("tag", "<answer> 3+4 </answer> <answer>", " 3+4 "),
        ("tag", "<answer>The answer is 7</answer>", "7"),
        ("phrase", "So the answer is 42 because 6 times 7 is 42.", "42"),
        ("phrase", "The answer is $x+1$, which is even.", "$x+1$"),
        ("phrase", "The answer is 3, 4 and 5.", "3, 4 and 5"),
        ("phrase", "The answer is (1, 2), as shown", "(1, 2)"),
        ("answer", "We add.\n\nAnswer: 20", "20"),
        ("answer", "We add.\n\nAnswer: $20$", "$20$"),
        ("answer", "**Answer:** 20", "20"),
        ("answer", "**Answer: 20**", "20"),
        ("answer", "**Final Answer**: 20\n", "20"),
        ("answer", "Final Answer: \\(24\\).", "\\(24\\)"),
        ("answer", "The answer: 3.5.\r\nDone.", "3.5"),
        ("answer", "### Answer:\n\n$$\n20\n$$", "20"),
        ("answer", "> answer\uff1a B", "B"),
        ("answer", "Answer: 19\nNo.\nAnswer: 20", "20"),
        ("answer", "Final Answer: The final answer is $20$. I hope it is correct.", "$20$"),
    ],
)
def test_other_forms(form: str, text: str, answer: str):
    assert extract(text, [form]) == answer
    assert extract(text) is None


@pytest.mark.parametrize(
    "text", ["so the Answer: 20", "An answer: 20", "Answers: 20", "Answer 20", "Answer:", "Answer:\n"]
)
def test_an_answer_line_starts_with_the_word(text: str):
    assert not extract(text, ["answer"])


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("boxed", "\\boxed{Answer: 20}"),
        ("boxed", "\\boxed{\\text{Answer: }20}"),
        ("boxed", "\\boxed{\\text{Final Answer:} 20}"),
        ("answer", "Answer: $\\boxed{20}$."),
        ("phrase", "The answer is \\(\\boxed{20}\\)."),
        ("hashes", "#### \\boxed{20}"),
        ("tag", "<answer>$$\\boxed{20}$$</answer>"),
    ],
)
def test_a_box_with_the_word_and_a_form_with_a_box(form: str, text: str):
    assert (extract(text, [form]) or "").strip() == "20"


def test_a_text_around_the_word_and_the_answer_stays():
    assert extract("\\boxed{\\text{Answer: 20}}") == "\\text{20}"


def test_a_box_amid_an_answer_is_kept():
    assert extract("<answer>\\boxed{20} or 21</answer>", ["tag"]) == "\\boxed{20} or 21"
    assert extract("Answer: \\boxed{1}, \\boxed{2}", ["answer"]) == "\\boxed{1}, \\boxed{2}"


def test_forms_with_answers():
    counts = forms_with_answers(["Answer: 20", "#### 20", "\\boxed{}", "".join(f"#### {n}\n" for n in range(9))])
    assert counts == {"boxed": 0, "answer": 1, "hashes": 1, "phrase": 0, "tag": 0}


def test_forms_are_tried_in_order():
    text = "#### 4\n\\boxed{5}"
    assert extract(text, ["boxed", "hashes"]) == "5"
    assert extract(text, ["hashes", "boxed"]) == "4"
    assert extract("\\boxed{5}", ["hashes", "boxed"]) == "5"
    with pytest.raises(InputError, match="unknown answer form 'box'"):
        extract(text, ["box"])


def test_many_different_answers_are_an_enumeration():
    boxes = [f"\\boxed{{{n}}}" for n in range(MAX_ANSWERS + 1)]
    assert extract(" ".join(boxes[:-1])) == str(MAX_ANSWERS - 1)
    assert extract(" ".join(["\\boxed{ 7 }", "\\boxed{7}"] * 20)) == "7"
    with pytest.raises(Refused, match="different answers"):
        extract(" ".join(boxes))
    with pytest.raises(Refused, match="different answers"):
        extract(" ".join(f"#### {n}\n" for n in range(9)), ["hashes"])


def test_only_the_tail_is_searched():
    assert extract("\\boxed{5}" + " " * TAIL) is None
    assert extract("\\boxed{5}" + " " * (TAIL - 20)) == "5"


def boxes_by_hand(text: str) -> list[str] | None:
    """Return the contents of the outer boxes, searched character by character; None if the last one has no end."""
    boxes, at, unfinished = [], 0, False
    while at < len(text):
        opens = re.match(r"\\boxed\s*(\{)?", text[at:])
        if opens is None:
            at += 2 if text[at] == "\\" else 1
            continue
        start, depth = at + opens.end(), 1
        at = start
        while opens[1] and at < len(text) and depth:
            if text[at] == "\\":
                at += 1
            elif text[at] in "{}":
                depth += 1 if text[at] == "{" else -1
            at += 1
        unfinished = depth > 0
        if not depth:
            boxes.append(text[start : at - 1])
    return None if unfinished else boxes


@settings(max_examples=400)
@given(st.lists(st.sampled_from(PIECES[:-1]), max_size=25).map("".join))
def test_extraction_agrees_with_a_plain_search(text: str):
    """Texts begin with a box, because escapes before the first box can pair up differently."""
    text = "\\boxed{" + text
    by_hand = boxes_by_hand(text)
    if re.search(r"\\boxed\s*[^\s{]", text) or "\\boxed" in "".join(by_hand or []):
        return  # a box without braces, or in another box
    by_hand = [box for box in by_hand or [] if box.strip()] or (by_hand or [])[-1:]
    if len({"".join(content.split()) for content in by_hand}) <= MAX_ANSWERS:
        assert answers_in(text) == by_hand


@settings(max_examples=400)
@given(
    st.text(max_size=60), st.lists(st.sampled_from([*PIECES, "\nAnswer:"]), max_size=25), st.sampled_from(sorted(FORMS))
)
def test_the_answer_is_part_of_the_text(noise: str, pieces: list[str], form: str):
    text = noise.join(pieces)
    try:
        answer = extract(text, [form])
    except Refused:
        return
    assert answer is None or answer in text
