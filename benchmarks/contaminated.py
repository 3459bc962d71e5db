"""A nano corpus that has met evaluation problems, for the world `contaminated` of worlds.yaml."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from warmup_rl.interfaces.corpus import Document
from warmup_rl.interfaces.domain import Domain
from warmup_rl.interfaces.format import ANSWER_CLOSE, ANSWER_OPEN
from warmup_rl.interfaces.plugins import plugin_field
from warmup_rl.nano.corpus import ASSISTANT, BOOK, END, Nano


class Contaminated(Nano):
    """The documents of `nano`, and copies of test problems with their answers, whose questions carry loss too."""

    type: ClassVar[str] = "contaminated"

    leaked: Annotated[Domain, plugin_field("domain")]
    """The domain, with the settings of the recipe."""
    evaluation_seed: int = 1
    """`evaluation.seed` of the recipe."""
    problems: int = Field(default=100, gt=0)
    """Number of test problems, the first ones of an evaluation."""
    copies: int = Field(default=20, gt=0)
    """Documents per problem."""

    def documents(self, seed: int) -> Iterator[Document]:
        leaked = self.leaked.take("test", self.evaluation_seed, self.problems)
        copies = [
            Document(
                f"{BOOK} {problem.question} {ASSISTANT} {ANSWER_OPEN} {problem.gold} {ANSWER_CLOSE} {END}",
                f"{self.leaked.type}/leaked",
            )
            for problem in leaked
        ]
        documents = [*super().documents(seed), *copies * self.copies]
        random.Random(f"contaminated/{seed}").shuffle(documents)
        yield from documents
