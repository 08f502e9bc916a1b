"""The token ids that a producer itself writes: before, between and behind the texts."""

from producers.rows import Cut
from streams.errors import SettingsError


def check_written_ids(cut: Cut, vocabulary: int, tokenizer: str) -> None:
    """Raise SettingsError unless BOS, separator and padding are ids of the tokenizer.

    They stand in every batch, so that a run would refuse all of them. vocabulary: how many ids the
    tokenizer has. tokenizer: its name or folder.
    """
    written = (
        ("bos", cut.bos, "is put before every row; set bos = false"),
        ("pack", cut.separator, "is put between documents; set pack = false"),
        ("tokenizer", cut.pad, "fills rows; name a pad token of its own in tokenizer_config.json"),
    )
    for key, number, use in written:
        if number is not None and not 0 <= number < vocabulary:
            raise SettingsError(
                f"{key}: token id {number} {use}: tokenizer {tokenizer} has {vocabulary} ids only"
            )
