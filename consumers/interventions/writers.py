"""Sources that can be written to: the activation of chosen features, and their directions."""

from dataclasses import dataclass

import torch
from torch import Tensor

from consumers.encoders.forms import LinearForm
from consumers.encoders.rules import Rule
from consumers.sources.directions import load_directions
from consumers.sources.source import LoadedSource
from streams.errors import QuestionError

_NEAR = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Writer:
    """A source with what its features write. hook: where they write.

    decoder: [feature, width of that hook], float32; None for neurons, which write themselves.
    """

    source: LoadedSource
    hook: str
    decoder: Tensor | None

    def directions(self, index: Tensor) -> Tensor:
        """Return the decoder direction of each of some features, [n, width], float32."""
        if self.decoder is None:
            return torch.nn.functional.one_hot(index, self.source.width).float()
        return self.decoder[index]

    def activations(self, values: Tensor, index: Tensor) -> Tensor:
        """Return what one feature of each row reads, [row, token], float32.

        values: of the hook that is read, [row, token, width]. index: the feature, [row]. As
        ``source.encode`` of the whole dictionary; a linear one is multiplied for that feature
        alone.
        """
        rows, tokens, _ = values.shape
        form = self.source.form
        if isinstance(form, LinearForm):
            prepared = form.prepare(values.flatten(0, 1)).view(rows, tokens, -1)
            if form.weight is None:
                at = index.view(rows, 1, 1).expand(-1, tokens, 1)
                return prepared.gather(2, at)[..., 0].float()
            product = torch.einsum("rtw,rw->rt", prepared, form.weight[index]).float()
            return product if form.rule is None else _rule_of(form.rule, index).values(product)
        found = [self._encoded(row)[:, number] for row, number in zip(values, index, strict=True)]
        return torch.stack(found).float()

    def _encoded(self, row: Tensor) -> Tensor:
        """Return all features of one row's values [token, width], [token, feature]."""
        encode = self.source.encode
        return encode(row[None])[0] if self.source.whole_rows else encode(row)


def _rule_of(rule: Rule, index: Tensor) -> Rule:
    return Rule(rule.scale[index], rule.shift[index], rule.gate[index], rule.cut[index])


def load_writer(source: LoadedSource, device: torch.device) -> Writer:
    """Return a source that can be written to.

    Raises QuestionError for one without decoder directions (weight components, say), for a
    transcoder that does not say where it writes, and for a dictionary whose directions are not the
    same at each token, since it rescales.
    """
    if source.kind == "neurons":
        return Writer(source, source.hook, None)
    if source.kind != "dictionary":
        raise QuestionError(
            f"{source.kind} {source.name!r} has no decoder directions: features of dictionaries "
            "and neurons can be changed"
        )
    found = load_directions(source.name, source.kind, source.location, source.hook)
    if found.decoder is None or not found.writes:
        raise QuestionError(f"dictionary {source.name!r} does not say where its features write")
    decoder = torch.from_numpy(found.decoder).to(device)
    _expect_fixed(source, decoder)
    return Writer(source, found.writes, decoder)


def _expect_fixed(source: LoadedSource, decoder: Tensor) -> None:
    """Raise QuestionError unless a feature adds its direction, at tokens of whatever size."""
    if source.rebuild is None:
        return
    chance = torch.Generator().manual_seed(0)
    values = torch.randn(2, source.width, generator=chance) * torch.tensor([[1.0], [7.0]])
    values = values.to(decoder.device)
    with torch.inference_mode():
        components = source.encode(values[None])[0] if source.whole_rows else source.encode(values)
        more = components.clone()
        more[:, 0] += 1.0
        added = source.rebuild(values, more).float() - source.rebuild(values, components).float()
    off = (added - decoder[0]).norm(dim=1) / decoder[0].norm().clamp(min=1e-12)
    if not bool((off < _NEAR).all()):
        raise QuestionError(
            f"dictionary {source.name!r} rescales each token, so that its features have no fixed "
            "direction: they cannot be changed"
        )
