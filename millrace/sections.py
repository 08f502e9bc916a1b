"""The tables of the settings file, with their defaults and what they allow."""

import codecs
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from annotated_types import MaxLen
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from consumers.runs.specs import DEFAULT, RankingName, RunOptions
from streams import bounds
from streams.timeouts import LEAST_SESSION, check_session
from streams.transport.access import check_prefix
from streams.transport.security import Mechanism, Sasl, Security, Tls

T = TypeVar("T")


def _unless_empty(value: Any) -> Any:
    return None if value == "" else value


Given = Annotated[T | None, BeforeValidator(_unless_empty)]
Positive = Annotated[int, Field(ge=1, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def _known_encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError(f"{name!r} is no known encoding; try utf-8") from None
    return name


def _known_date(text: str) -> str:
    date.fromisoformat(text)
    return text


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is no number")
    return value


Number = Annotated[int | float, BeforeValidator(_no_truth)]
Encoding = Annotated[str, AfterValidator(_known_encoding)]


class Section(BaseModel):
    """A table of the settings file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class CorpusSection(Section):
    """Where text comes from and how it is cut; see ``producers``. None: decided from the rest."""

    name: str = "corpus"
    text: tuple[str, ...] = ()
    format: str | None = None
    tokenizer: str | None = None
    context: Annotated[int, Field(ge=2, le=bounds.MAX_CONTEXT)] | None = None
    batch_rows: bounds.BatchRows | None = None
    partitions: bounds.Partitions = 4
    pack: bool = False
    bos: bool | None = None
    separator: str = "eos"
    count_separators: bool | None = None
    text_field: str | None = None
    tokens_field: str | None = None
    chat_field: str | None = None
    chat_template: str | None = None
    chat_roles: tuple[str, ...] = ()
    role_domains: bool = False
    chat_date: Annotated[str, BeforeValidator(str), AfterValidator(_known_date)] = "2024-07-26"
    special_tokens: Literal["text", "parse"] = "text"
    id_field: str | None = None
    domain_field: str | None = None
    encoding: Encoding | None = None
    list_separator: str | None = None
    tokens_dtype: Literal["uint8", "uint16", "uint32", "int32", "int64"] | None = None
    long_rows: Literal["split", "cut", "refuse"] = "split"
    limit_documents: Positive | None = None
    limit_tokens: Positive | None = None
    limit_per_domain: Positive | str | None = None
    max_document_bytes: Annotated[int, Field(ge=1, le=2**31)] = 2**26
    skip_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSettings(RunOptions):
    """What is computed, by default all that costs little.

    name: None if nobody chose one; see ``Settings.run_name``.
    """

    rankings: Annotated[tuple[RankingName, ...], MaxLen(16)] = (DEFAULT,)
    statistics: Annotated[tuple[bounds.Label, ...], MaxLen(64)] = (DEFAULT,)
    name: str | None = None


class KafkaSettings(Section):
    """How to reach a Kafka broker; see ``streams.transport.access``.

    Empty strings count as not given, as variables of containers often are. tls: None for as soon as
    a certificate is named.
    """

    prefix: str = ""
    tls: bool | None = None
    ca: Given[str] = None
    certificate: Given[str] = None
    key: Given[str] = None
    key_password: Given[SecretStr] = None
    check_hostname: bool = True
    user: Given[str] = None
    password: Given[SecretStr] = None
    mechanism: Mechanism = "SCRAM-SHA-512"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        check_prefix(self.prefix)
        if self.user is not None and self.password is None:
            raise ValueError("user needs a password, best in a file: password_file")
        if self.password is not None and self.user is None:
            raise ValueError("password needs a user")
        if self.key is not None and self.certificate is None:
            raise ValueError("key needs a certificate")
        if self.key_password is not None and self.certificate is None:
            raise ValueError("key_password needs a certificate and its key")
        if self.tls is False and (self.ca or self.certificate or not self.check_hostname):
            raise ValueError("tls = false leaves ca, certificate and check_hostname no meaning")
        return self

    def security(self) -> Security:
        """Return who we are to the broker, and whom we believe."""
        return Security(self._tls(), self._sasl())

    def _tls(self) -> Tls | None:
        named = self.ca or self.certificate or not self.check_hostname
        if not (named if self.tls is None else self.tls):
            return None
        return Tls(
            authority=Path(self.ca) if self.ca else None,
            certificate=Path(self.certificate) if self.certificate else None,
            key=Path(self.key) if self.key else None,
            key_password=self.key_password.get_secret_value() if self.key_password else None,
            check_hostname=self.check_hostname,
        )

    def _sasl(self) -> Sasl | None:
        if self.user is None or self.password is None:
            return None
        return Sasl(self.user, self.password.get_secret_value(), self.mechanism)


class LimitsSettings(Section):
    """When a worker gives up; see ``consumers.health.limits``.

    session: None for ``streams.timeouts.usual_session``.
    """

    dead_letter_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.05
    dead_letter_records: Annotated[int, Field(ge=1, le=100_000)] = 1000
    dead_letter_run: Positive = 20
    stall: Seconds = 300.0
    incomplete: Seconds = 60.0
    refused_share: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.05
    session: Annotated[float, Field(ge=LEAST_SESSION, le=86_400, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.session is not None:
            check_session(self.session, self.stall)
        return self
