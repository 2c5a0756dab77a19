"""Prompt templates by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rlvrscope.errors import InputError, did_you_mean
from rlvrscope.problem import Problem
from rlvrscope.verify.choice_verifier import LETTERS

STEPS = "Please reason step by step, and put your final answer within \\boxed{}."
LETTER = "Please reason step by step, and put the letter of your answer within \\boxed{}."


@dataclass(frozen=True)
class Template:
    """text: contains {question}, and for multiple choice {options}, replaced by lettered lines."""

    about: str
    text: str

    def render(self, problem: Problem) -> str:
        """Return the prompt. Raises InputError if the template shows options and the problem has none."""
        choices = problem.metadata.get("choices", ())
        if "{options}" in self.text and not choices:
            raise InputError(f"problem {problem.id!r} has no choices, and this template shows options")
        options = "\n".join(f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False))
        parts = self.text.replace("{options}", "\0").split("{question}")  # the question itself may contain braces
        return problem.prompt.join(part.replace("\0", options) for part in parts)


TEMPLATES: dict[str, Template] = {
    "plain": Template("the question and the instruction, for any model", f"{{question}}\n\n{STEPS}\n"),
    "qwen-boxed": Template(
        "Qwen2.5's chat format, the instruction as system message",
        f"<|im_start|>system\n{STEPS}<|im_end|>\n<|im_start|>user\n{{question}}<|im_end|>\n<|im_start|>assistant\n",
    ),
    "llama-boxed": Template(
        "Llama 3's chat format; the tokenizer adds the begin-of-text token",
        "<|start_header_id|>user<|end_header_id|>\n\n"
        f"{{question}}\n\n{STEPS}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "choice": Template(
        "multiple choice: lettered options, one letter asked for", f"{{question}}\n\n{{options}}\n\n{LETTER}\n"
    ),
    "choice-qwen": Template(
        "the same in Qwen2.5's chat format",
        f"<|im_start|>system\n{LETTER}<|im_end|>\n"
        "<|im_start|>user\n{question}\n\n{options}<|im_end|>\n<|im_start|>assistant\n",
    ),
    "choice-llama": Template(
        "the same in Llama 3's chat format",
        "<|start_header_id|>user<|end_header_id|>\n\n{question}\n\n{options}\n\n"
        f"{LETTER}<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
}


def template_of(name: str) -> Template:
    """Return a template by name. Raises InputError, with the nearest name, for an unknown one."""
    if name not in TEMPLATES:
        raise InputError(f"unknown template {name!r}. {did_you_mean(name, list(TEMPLATES))}")
    return TEMPLATES[name]


def default_template(problems: Sequence[Problem]) -> str | None:
    r"""Return the template for a file of one's own; None where the forms of its answers leave \boxed{} out.

    Raises InputError if only some of the problems leave it out: the instruction would mislead those.
    """
    if all(problem.metadata.get("choices") for problem in problems):
        return "choice"
    num_other = sum("boxed" not in (problem.metadata.get("forms") or ("boxed",)) for problem in problems)
    if 0 < num_other < len(problems):
        raise InputError(
            f"{num_other} of {len(problems)} problems name a form of answer without \\boxed{{}}, which the instruction "
            "asks the others for: name a --template for all (none: prompts as they are), or split the file"
        )
    return None if num_other else "plain"
