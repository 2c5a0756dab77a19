"""A TRL script. What is rlvrscope's: one import, `objective`, and the callbacks.

python recipes/trl-smollm2/script.py out/SmolLM2 out/script
"""

import sys

from datasets import Dataset
from trl import GRPOConfig

from rlvrscope.adapters.trl import BoundaryCallback, GRPOTrainer, LedgerCallback, StageCallback

model, out = sys.argv[1:3]
EXAMPLES = "12 * 4 = 48\n35 * 7 = 245\n81 * 6 = 486\n"
pairs = [(first, second) for first in range(11, 51) for second in range(3, 10)]
rows = [{"prompt": f"{EXAMPLES}{a} * {b} =", "answer": str(a * b)} for a, b in pairs]
data = Dataset.from_list(rows).train_test_split(test_size=8, seed=0)


def right(completions, answer, **_):
    return [float(text.split("\n")[0].strip() == gold) for text, gold in zip(completions, answer, strict=True)]


args = GRPOConfig(
    out, max_steps=2, per_device_train_batch_size=16, num_generations=8, max_completion_length=6, learning_rate=3e-6,
    eval_strategy="steps", eval_steps=2, eval_on_start=True, num_generations_eval=8, per_device_eval_batch_size=64,
    logging_steps=1, save_strategy="no", use_cpu=True, bf16=False, gradient_checkpointing=False,
)  # fmt: skip
trainer = GRPOTrainer(
    model, right, args, train_dataset=data["train"], eval_dataset=data["test"], objective="grpo-n"
)  # fmt: skip
trainer.add_callback(LedgerCallback(trainer))
trainer.add_callback(StageCallback(trainer))
trainer.add_callback(BoundaryCallback(trainer))
trainer.train()
