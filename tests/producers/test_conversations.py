"""Conversations through a chat template, and texts whose special tokens are meant."""

from datetime import date
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

from producers.documents import BadDocument, Document, RefusedDocuments
from producers.progress import Silent
from producers.settings import CorpusSettings
from producers.tally import CorpusTally
from streams.errors import ModelError
from streams.records.corpus import TokenBatch
from streams.tokenizer.chat import make_chat
from streams.tokenizer.loading import load_tokenizer
from tests.producers.conftest import new_client, save_plainly
from tests.producers.in_memory import DocumentsInMemory, produce_text

TURNS = (
    "{{ bos_token }}{% for m in messages %}<turn>{{ m['role'] }}\n{{ m['content'] | trim }}</turn>"
    "{% endfor %}"
)
MESSAGES = (
    {"role": "user", "content": " Hello there. "},
    {"role": "assistant", "content": "Hi, you."},
    {"role": "user", "content": "Bye"},
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: n for n, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = ("<bos>", "<eos>", "<turn>", "</turn>")
    made.add_special_tokens([AddedToken(mark, special=True) for mark in marks])
    path = tmp_path_factory.mktemp("chat")
    named = {"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<eos>"}
    return save_plainly(made, path, **named, chat_template=TURNS)


def settings(folder: str, **changes: Any) -> CorpusSettings:
    given = {"partitions": 1, "context": 200, "batch_rows": 100, **changes}
    return CorpusSettings("c", folder, **given)


def batch(
    folder: str, documents: Any, refusals: RefusedDocuments | None = None, **changes: Any
) -> TokenBatch:
    source = DocumentsInMemory(tuple(documents), refusals=refusals or RefusedDocuments())
    made = settings(folder, **changes)
    return next(made.batches(load_tokenizer(folder), source, CorpusTally()))


def conversation(*messages: Any, domain: str = "") -> Document:
    return Document("d", domain, "", messages=messages or MESSAGES)


def counted(folder: str, batch: TokenBatch, row: int = 0) -> str:
    """Return the text of the tokens of a row that count."""
    tokens = load_tokenizer(folder).tokens
    return b"".join(tokens[n] for n in batch.ids[row][batch.mask[row]]).decode()


def test_a_conversation_is_what_transformers_makes_of_it(folder):
    from transformers import AutoTokenizer

    own = AutoTokenizer.from_pretrained(folder)
    expected = own.apply_chat_template(list(MESSAGES), tokenize=True, return_dict=False)
    found = batch(folder, [conversation()], chat=make_chat(folder))
    assert found.ids[0, : found.row_lengths()[0]].tolist() == expected
    bos = own.bos_token_id
    assert found.ids[0].tolist().count(bos) == 1
    assert settings(folder, chat=make_chat(folder)).record(load_tokenizer(folder)).bos_id == bos


def test_rows_of_a_long_conversation_begin_with_its_bos(folder):
    found = batch(folder, [conversation()], chat=make_chat(folder), context=16)
    bos = load_tokenizer(folder).names["bos"]
    assert len(found.ids) > 2
    assert (found.ids[:, 0] == bos).all()
    assert (found.ids[:, 1:] != bos).all()


def test_only_what_chosen_roles_wrote_counts(folder):
    found = batch(folder, [conversation()], chat=make_chat(folder, roles=("assistant",)))
    assert counted(folder, found) == "Hi, you."
    both = batch(folder, [conversation()], chat=make_chat(folder, roles=("assistant", "user")))
    assert counted(folder, both) == "Hello there.Hi, you.Bye"
    assert both.row_lengths()[0] == found.row_lengths()[0] > found.mask.sum()


def test_roles_are_domains_of_rows_of_their_own(folder):
    found = batch(folder, [conversation()], chat=make_chat(folder, role_domains=True))
    assert found.domains == ("user", "assistant")
    assert [counted(folder, found, row) for row in (0, 1)] == ["Hello there.Bye", "Hi, you."]
    assert found.ids[0].tolist() == found.ids[1].tolist()
    assert found.keys[0].tobytes() != found.keys[1].tobytes()


def test_what_a_template_leaves_out_counts_for_nobody(folder, tmp_path):
    template = tmp_path / "template.jinja"
    template.write_text(
        "{% for m in messages %}[{{ m['content'].split('</think>')[-1].strip() }}]{% endfor %}"
    )
    chat = make_chat(folder, str(template), ("assistant",))
    message = {"role": "assistant", "content": "<think>why</think>\n\nbecause"}
    found = batch(folder, [conversation(message)], chat=chat)
    assert counted(folder, found) == "because"


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('roles must alternate') }}", "refuses it (roles must alternate)"),
        (
            "{{ messages[0]['content'] | upper }}{{ messages[0]['content'] | length }}",
            "changes messages",
        ),
        ("{{ messages.__class__.__mro__ }}", "refuses it"),
    ],
)
def test_a_conversation_that_the_template_refuses_is_passed_over(folder, tmp_path, template, said):
    (tmp_path / "t.jinja").write_text(template)
    bad: list[BadDocument] = []
    chat = make_chat(folder, str(tmp_path / "t.jinja"), roles=("user",))
    found = batch(
        folder,
        [conversation(), Document("text", "", "fine")],
        RefusedDocuments(True, bad.append),
        chat=chat,
    )
    assert found.documents == ("text",)
    assert bad[0].where == "document d"
    assert said in bad[0].cause


def test_the_date_in_a_template_does_not_change_from_day_to_day(folder, tmp_path):
    template = tmp_path / "t.jinja"
    template.write_text("{{ strftime_now('%Y-%m-%d') }} {{ date_string }}")
    assert make_chat(folder, str(template)).render(MESSAGES)[0] == "2024-07-26 26 Jul 2024"
    other = make_chat(folder, str(template), day=date(2030, 1, 2))
    assert other.render(MESSAGES)[0] == "2030-01-02 02 Jan 2030"


def test_a_tokenizer_without_a_template_is_named(tmp_path):
    made = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    with pytest.raises(ModelError, match="has no chat template; set chat_template"):
        make_chat(save_plainly(made, tmp_path))


def test_special_tokens_of_a_text_are_meant_if_so_chosen(folder):
    from transformers import AutoTokenizer

    text = "<turn>user\nhello</turn><eos><turn>model\nhi</turn>"
    own = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False)["input_ids"]
    parsed = batch(folder, [Document("d", "", text)], special_tokens="parse")
    assert parsed.ids[0, : len(own)].tolist() == own
    spelt = batch(folder, [Document("d", "", text)])
    assert spelt.row_lengths()[0] == len(text)


def test_a_bos_that_a_text_spells_is_not_doubled(folder):
    texts = [Document("a", "", "<bos>a"), Document("b", "", "b")]
    found = batch(folder, texts, special_tokens="parse", bos="always")
    bos = load_tokenizer(folder).names["bos"]
    assert (found.ids[:, 0] == bos).all()
    assert found.row_lengths().tolist() == [2, 2]


@pytest.mark.parametrize("broken_off_after", [1, 2, 3])
def test_a_corpus_of_conversations_is_gone_on_with(folder, broken_off_after, monkeypatch):
    chat = make_chat(folder, role_domains=True)
    made = settings(folder, chat=chat, context=8, batch_rows=2)
    documents = DocumentsInMemory(
        (conversation(), conversation({"role": "user", "content": "Again."}))
    )
    whole = produce_text(new_client(), made, documents, Silent())
    client = new_client()
    batches = CorpusSettings.batches

    def some(self: Any, *arguments: Any) -> Any:
        for number, one in enumerate(batches(self, *arguments)):
            if number == broken_off_after:
                raise KeyboardInterrupt
            yield one

    with monkeypatch.context() as change:
        change.setattr(CorpusSettings, "batches", some)
        with pytest.raises(KeyboardInterrupt):
            produce_text(client, made, documents, Silent())
    assert produce_text(client, made, documents, Silent()) == whole
    assert {choice.name for choice in whole.choices} >= {"chat_template", "role_domains"}
