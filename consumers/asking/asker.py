"""A loaded model that answers: texts in, active features out, all sources from one forward pass."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from consumers.activations.torch_engine import TorchEngine
from consumers.asking.active import Active
from consumers.asking.answering import answer, expect_features
from consumers.asking.rows import MAX_TOKENS, TextRows, joined, rows_of
from consumers.asking.setup import Setup
from consumers.plan import make_plan
from consumers.run_clusters import activity_of
from consumers.runs.loading import load_engine
from streams.asking.answer import Answer
from streams.asking.question import Question
from streams.errors import QuestionError
from streams.tokenizer.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True, eq=False)
class Asker:
    """A model with its sources, loaded; several threads may ask, one is answered at a time.

    engine: what computes the run's activations, so that a text's are those that a run has of it.
    """

    setup: Setup
    engine: TorchEngine
    tokenizer: Tokenizer

    def ask(self, question: Question) -> Answer:
        """Return which features are active on texts, and where.

        Texts are read in batches; what else is in a batch moves no more than the last bits. Raises
        QuestionError for a feature that does not exist, a text without a token and too much text,
        and NotFiniteError where the model computes NaN or infinity.
        """
        (outcome,) = self.ask_all([question])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def ask_all(
        self, questions: Sequence[Question], tokens: int = MAX_TOKENS
    ) -> list[Answer | QuestionError]:
        """Return the answer to each of several questions, whose texts share their batches.

        tokens: the most that a question may have; one that cannot be answered has its error
        instead. Raises NotFiniteError where the model computes NaN or infinity.
        """
        read = [self._rows(question, tokens) for question in questions]
        good = [rows for rows in read if isinstance(rows, TextRows)]
        active = iter(self.active(joined(good)).parts([len(rows.size) for rows in good]))
        shown = self.tokenizer.texts.shown
        return [
            rows
            if isinstance(rows, QuestionError)
            else answer(question, rows, self.engine.plan, shown, next(active))
            for question, rows in zip(questions, read, strict=True)
        ]

    def _rows(self, question: Question, tokens: int) -> TextRows | QuestionError:
        try:
            expect_features(question, self.engine.plan)
            return rows_of(question.texts, self.tokenizer, self.setup, tokens)
        except QuestionError as error:
            return error

    def active(self, rows: TextRows) -> Active:
        """Return all that is active in rows, sorted."""
        plan, parts = self.engine.plan, list[Active]()
        tokens = plan.run.model.micro_batch * plan.run.context
        for numbers, batch, valid in rows.batches(tokens, self.tokenizer.pad_id()):
            found = self.engine.compute(batch, valid)
            activation, fires = activity_of(plan, found.component, found.value)
            row = numbers[found.row]
            token = rows.first[row] + found.position
            part = Active(rows.text[row], found.component, token, activation, found.value)
            parts.append(part.of(np.flatnonzero(fires)))
        return Active.joined(parts).sorted()


def load_asker(setup: Setup, device: str = "auto", trusted: Collection[str] = frozenset()) -> Asker:
    """Return a model that answers as the run does that ``setup`` is of, loaded.

    trusted: locations of sources whose code may be run. Raises RunError if model or dictionaries
    are not those of the run, and ModelError if one cannot be loaded here.
    """
    tokenizer = setup.load_tokenizer()
    return Asker(setup, load_engine(make_plan(setup.record()), device, trusted), tokenizer)
