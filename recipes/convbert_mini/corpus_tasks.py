"""The training texts of GLUE and SQuAD as lines of the corpus, and the texts that must not be in it."""

import sys
from collections.abc import Iterator
from pathlib import Path

from common.errors import InputError
from glue.data import locate, read_split
from glue.tasks import TASKS
from recipes.convbert_mini.corpus_text import MOST_WORDS, normalised, one_line, sentences
from squad.data import Dataset, Question, read_squad

_SQUAD_TRAIN = ("train-v2.0.json", "train-v1.1.json")
_SQUAD_DEV = ("dev-v2.0.json", "dev-v1.1.json")


def glue_lines(data_dir: Path) -> Iterator[tuple[str, str]]:
    """(task, line) for every training row: its texts, a pair also with a TAB between them. No labels."""
    for task in TASKS.values():
        for split in task.of_kind("train"):
            for example in read_split(task, split, data_dir).examples:
                texts = [one_line(text) for text in example.texts]
                for line in [*texts, "\t".join(texts)] if task.is_pair else texts:
                    yield task.name, line


def squad_lines(data_dir: Path) -> Iterator[str]:
    """Every question alone, every passage in groups of sentences, and each question with a group.

    The group is the one in which its answer begins, or for a question without one the passage's first.
    """
    for dataset in _datasets(data_dir, _SQUAD_TRAIN):
        groups = [_groups(context) for context in dataset.contexts]
        for question in dataset.questions:
            yield one_line(question.text)
            passage_groups = groups[question.context]
            number = _group_number(question, dataset, passage_groups)
            yield f"{one_line(question.text)}\t{passage_groups[number]}"
        for passage_groups in groups:
            yield from passage_groups


def held_out(glue_dir: Path | None, squad_dir: Path | None) -> set[str]:
    """Normalised dev and test texts: GLUE's sentences; SQuAD's questions, passages and their sentences."""
    texts: list[str] = []
    if glue_dir:
        for task in TASKS.values():
            for split in (*task.of_kind("dev"), *task.of_kind("test")):
                try:
                    examples = read_split(task, split, glue_dir).examples
                except InputError as error:
                    if split.kind == "dev" or locate(glue_dir, split):
                        raise
                    print(f"not held out: {error}", file=sys.stderr)  # some collections lack QQP's test set
                    continue
                texts += [text for row in examples for text in row.texts]
    for dataset in _datasets(squad_dir, _SQUAD_DEV) if squad_dir else ():
        texts += [question.text for question in dataset.questions]
        for context in dataset.contexts:
            texts += [context, *sentences(context), *_groups(context)]
    return {normalised(text) for text in texts} - {""}


def _datasets(data_dir: Path, names: tuple[str, ...]) -> Iterator[Dataset]:
    present = [data_dir / name for name in names if (data_dir / name).is_file()]
    if not present:
        raise InputError(
            f"{data_dir}: has neither {names[0]} nor {names[1]}; put the official SQuAD files there"
        )
    yield from map(read_squad, present)


def _groups(context: str) -> list[str]:
    """A passage's sentences, joined as long as MOST_WORDS allow; a longer sentence stays whole."""
    groups: list[str] = []
    for sentence in sentences(context):
        if groups and len(groups[-1].split()) + len(sentence.split()) <= MOST_WORDS:
            groups[-1] += " " + sentence
        else:
            groups.append(sentence)
    return groups


def _group_number(question: Question, dataset: Dataset, groups: list[str]) -> int:
    starts = [answer.start for answer in question.answers if answer.start is not None]
    if not starts:
        return 0
    # Groups and passage differ in white space only, so the words before the answer say where it is.
    before = len(dataset.contexts[question.context][: starts[0]].split())
    for number, group in enumerate(groups):
        before -= len(group.split())
        if before < 0:
            return number
    return len(groups) - 1
