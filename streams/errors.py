"""Every error that Millrace raises on purpose."""


class StreamError(Exception):
    """The parent of all of them; its text is one line that says what, where and what to do."""


class UserError(StreamError):
    """Something that the person at the command line can mend; the program ends with status 2."""


class SettingsError(UserError):
    """A settings key, an option or an environment variable is wrong."""


class BrokerError(UserError):
    """The broker cannot be reached or refuses what was asked."""


class AccessError(BrokerError):
    """The broker does not let us in, we do not trust it, or a right is missing: asking again
    does not help."""


class CorpusError(UserError):
    """A corpus or one of its input files cannot be used."""


class ModelError(UserError):
    """A model, a dictionary or a clustering cannot be loaded or does not fit."""


class MissingModelError(ModelError):
    """A model that a question needs is not installed; the text says how it is had."""


class InstallError(UserError):
    """A library was about to install something, which Millrace never lets it do."""

    def __init__(self, purpose: str, wanted: str) -> None:
        super().__init__(
            f"{purpose}: a library wants to install {wanted}, and Millrace installs nothing; "
            "install it yourself where you want it, or use what does not need it"
        )
        self.purpose = purpose
        self.wanted = wanted


class RunError(UserError):
    """A run cannot be created, joined or served."""


class ChangedPartError(RunError):
    """A model, dictionary or tokenizer that is not the one a run was made with. what: which one."""

    def __init__(self, what: str, run: str = "the run") -> None:
        super().__init__(
            f"{what} is not the one that {run} was created with: name that one, or make a new run"
        )
        self.what = what


class UnreadableRunError(RunError):
    """The record of a run is there and cannot be used: the run can only be deleted, by its name."""


class QuestionError(UserError):
    """What is asked of a model cannot be answered as it stands."""


class SnapshotError(UserError):
    """A snapshot is missing, incomplete or damaged."""


class StoreError(SnapshotError):
    """The place for snapshots cannot be reached, or refuses to write or to read."""


class DamagedPartError(SnapshotError):
    """A file that a snapshot lists is missing, or is not what was written.

    path: the file, relative to the run's folder.
    """

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


class ExportError(UserError):
    """A snapshot cannot be exported in that way, or to that place."""


class SnapshotFailedError(StreamError):
    """A snapshot was given up for good; that of the snapshot ``final`` means the run has failed."""

    def __init__(self, run: str, snapshot: str, why: str) -> None:
        super().__init__(f"snapshot {snapshot} of run {run} failed: {why}")
        self.run = run
        self.snapshot = snapshot
        self.why = why


class TooManyRefusedError(StreamError):
    """A run has its final snapshot, but more of its batches were refused than its limits allow."""


class LostBatchError(SnapshotError):
    """Batches whose tokens a snapshot needs have been deleted from their corpus."""


class RecordError(StreamError):
    """A record that cannot be processed, whatever we do: it becomes a dead letter."""


class UndecodableError(RecordError):
    """The bytes are not one of our records."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"not a readable record: {reason}")
        self.reason = reason


class VersionError(RecordError):
    """The record was written by an earlier or a newer form of this program."""

    def __init__(self, found: int, ours: int) -> None:
        said = (
            f"record was written by an earlier form of Millrace (version {found}); make the corpus "
            "and the run again"
            if found < ours
            else f"record has version {found}, this program reads version {ours}; take a newer one"
        )
        super().__init__(said)
        self.found = found
        self.ours = ours


class ShapeError(RecordError):
    """The fields of a record do not fit each other or the run, or hold what they may not hold."""


class VocabularyError(RecordError):
    """A token id lies outside the model's vocabulary."""

    def __init__(self, found: int, size: int) -> None:
        super().__init__(f"token id {found} lies outside the vocabulary of {size} ids")
        self.found = found
        self.size = size


class NotFiniteError(RecordError):
    """The model or a dictionary computed NaN or infinity. advice: what to do, if that is known."""

    def __init__(self, where: str, advice: str = "") -> None:
        said = f"NaN or infinity computed in {where}"
        super().__init__(f"{said}: {advice}" if advice else said)
        self.where = where


class OverflowingSumError(StreamError):
    """A fixed-point sum or a count no longer fits 64 bits."""


class TooManyDeadLettersError(StreamError):
    """So many records were refused that the cause must lie elsewhere than in the records."""


class StallError(StreamError):
    """A worker that has records to process gets no further."""


class LostInputError(StreamError):
    """The input that a state still needs has been deleted from the log.

    for_good: whether that is certain, so that nothing can be done but to start a new run.
    """

    def __init__(self, what: str, *, for_good: bool = False) -> None:
        super().__init__(what)
        self.for_good = for_good
