"""Language models: the values at their hooks, and what is known of these."""

import difflib
import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from consumers.models.forwards import AllSeenError, Twin
from consumers.models.model import Intervention
from consumers.models.tolerances import TOLERANCE
from streams.errors import ModelError
from streams.hub_errors import out_of_reach
from streams.records.runs import Forward

_GATES = {
    "attn.hook_result": "set_use_attn_result",
    "hook_q_input": "set_use_split_qkv_input",
    "hook_k_input": "set_use_split_qkv_input",
    "hook_v_input": "set_use_split_qkv_input",
    "hook_mlp_in": "set_use_hook_mlp_in",
    "hook_attn_in": "set_use_attn_in",
}


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far a model is off its published code after each block, relative to the values.

    bridge: as transformer-lens computes it. twin: as transformers does with the bridge's weights.
    """

    bridge: tuple[float, ...]
    twin: tuple[float, ...]


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """A causal model on its device. hooks: every name that can be asked for.

    net: transformer-lens' model. twin: transformers' model that computes instead, for the hooks
    that it was made for. processed: the weights are not those that were published. fidelity: how
    far net is off the published code, None if that could not be run. reason: why this forward, if
    it is none of the usual; warnings: what has to be said of the values.

    Weights are used as they were published unless a dictionary asks for processing, so a dictionary
    trained on a model with folded or centred weights must say so in its metadata.
    """

    location: str
    net: Any
    device: torch.device
    vocabulary: int
    context: int
    hooks: tuple[str, ...]
    options: Mapping[str, Any]
    processed: bool = False
    twin: Twin | None = None
    fidelity: Fidelity | None = None
    reason: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def forward(self) -> Forward:
        """Whose code computes the forward pass."""
        if self.twin is None:
            return "transformer-lens"
        if self.twin.eager:
            return "transformers-eager"
        return "transformers-onednn" if self.twin.packed else "transformers"

    @property
    def dtype(self) -> torch.dtype:
        """The type of the weights."""
        found: torch.dtype = next(self.net.parameters()).dtype
        return found

    def run(self, ids: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Return the value of each hook for ids [row, position], from one forward pass.

        The pass ends at the last of the hooks. Rows are padded on the right and carry no mask: in a
        causal model no token sees the padding. Raises ModelError for a hook that does not fire.
        """
        wanted = set(hooks)
        seen = self._hooked_run(ids, wanted) if self.twin is None else self.twin.run(ids, hooks)
        if silent := ", ".join(sorted(wanted - seen.keys())):
            raise ModelError(f"hook {silent} does not fire when {self.location} reads text")
        return seen

    def logits(self, ids: Tensor, interventions: Sequence[Intervention] = ()) -> Tensor:
        """Return the logits [row, position, vocabulary], as in ``consumers.models.model``.

        They are transformer-lens' own forward's whatever computes the hooks' values: only it has
        every hook in the way. The two agree to the tolerances of ``consumers.models.agreement``,
        and where transformer-lens is further off the published code this is refused.
        """
        found: Tensor = self._changed(ids, interventions, return_type="logits", **self.options)
        return found

    def extend(
        self, ids: Tensor, interventions: Sequence[Intervention] = (), past: Any = None
    ) -> tuple[Tensor, Any]:
        """Return the logits [row, vocabulary] after the last of ``ids``, and keys and values.

        Those are transformers' cache of all tokens so far, to be given as ``past`` with the ones
        that come next, which changes it in place. Errors as for ``logits``. Whether it is true to
        ``logits`` is for ``consumers.models.key_values`` to say.
        """
        options = {**self.options, "use_cache": True, **self._last_alone()}
        if past is not None:
            options["past_key_values"] = past
        found, kept = self._changed(ids, interventions, return_type="logits_and_cache", **options)
        return found[:, -1], kept

    def _last_alone(self) -> dict[str, int]:
        """Return the option that has logits of the last token alone computed, if there is one."""
        known = inspect.signature(self.net.original_model.forward).parameters
        return {"logits_to_keep": 1} if "logits_to_keep" in known else {}

    def _changed(self, ids: Tensor, interventions: Sequence[Intervention], **options: Any) -> Any:
        """Return what transformer-lens' forward gives with interventions."""
        off = max(self.fidelity.bridge, default=0.0) if self.fidelity else 0.0
        if not off <= TOLERANCE[self.dtype]:
            raise ModelError(
                f"transformer-lens, which would compute logits of {self.location}, is {off:.1e} "
                "off its published code"
            )
        for each in interventions:
            self._check_name(each.hook)
        fired: set[str] = set()
        hooks = [(each.hook, _applied(each, fired)) for each in interventions]
        with torch.inference_mode(), self.net.hooks(fwd_hooks=hooks):
            found = self.net(ids, **options)
        if silent := ", ".join(sorted({each.hook for each in interventions} - fired)):
            raise ModelError(f"hook {silent} does not fire when {self.location} reads text")
        return found

    def widths(self, hooks: Iterable[str]) -> dict[str, int]:
        """Return how many values each hook has per token; [head, value] hooks count both.

        Raises ModelError for an unknown name, for a hook without one vector per token, and for a
        model in which a token sees later ones. Turns on hooks that transformer-lens keeps off.
        """
        names = sorted(set(hooks))
        for name in names:
            self._check_name(name)
            self._open(name)
        if not names:
            return {}
        short, long = (self._probe(names, length) for length in (3, 5))
        return {name: self._width(name, short[name], long[name]) for name in names}

    def content(self) -> str:
        """Return a hash of all parameters: names, types, shapes and bytes."""
        return content_of(self.net.named_parameters())

    def _hooked_run(self, ids: Tensor, wanted: set[str]) -> dict[str, Tensor]:
        """Return what transformer-lens' own forward gives at the hooks, as far as they fire."""
        seen: dict[str, Tensor] = {}

        def keep(name: str) -> Any:
            def hook_function(value: Tensor, hook: Any) -> None:
                seen.setdefault(name, value)
                if len(seen) == len(wanted):
                    raise AllSeenError

            return hook_function

        with (
            torch.inference_mode(),
            suppress(AllSeenError),
            self.net.hooks(fwd_hooks=[(name, keep(name)) for name in sorted(wanted)]),
        ):
            self.net(ids, return_type=None, **self.options)
        return seen

    def _check_name(self, name: str) -> None:
        if name not in self.hooks:
            raise ModelError(f"{self.location} has no hook {name!r}{close(name, self.hooks)}")

    def _open(self, name: str) -> None:
        for suffix, setter in _GATES.items():
            if name.endswith(suffix):
                with self._giving([name]):
                    getattr(self.net, setter)(True)

    def _probe(self, names: Sequence[str], length: int) -> dict[str, Tensor]:
        row = torch.arange(1, length + 1, device=self.device) % self.vocabulary
        with self._giving(names):
            return self.run(row.expand(2, -1), names)

    @contextmanager
    def _giving(self, names: Sequence[str]) -> Iterator[None]:
        """Turn what a model's own code raises, each in its way, into a ModelError about hooks."""
        try:
            yield
        except ModelError:
            raise
        except Exception as error:
            what = f"{self.location} cannot give hook {', '.join(names)}"
            raise ModelError(f"{what}: {one_line(error)}") from error

    def _width(self, name: str, short: Tensor, long: Tensor) -> int:
        per_token = short.ndim in (3, 4) and short.shape[2:] == long.shape[2:]
        if not per_token or [*short.shape[:2], *long.shape[:2]] != [2, 3, 2, 5]:
            raise ModelError(
                f"hook {name} of {self.location} has no vector per token, but the shape "
                f"{list(long.shape)} for 2 rows of 5 tokens"
            )
        gap = (short.float() - long[:, :3].float()).norm()
        if gap > (1e-3 if short.dtype == torch.float32 else 0.05) * short.float().norm():
            raise ModelError(
                f"{self.location} is no causal language model: at {name} a token sees later ones, "
                "so that padding would change the numbers"
            )
        return math.prod(short.shape[2:])


def _applied(intervention: Intervention, fired: set[str]) -> Callable[..., Tensor]:
    """Return an intervention as transformer-lens calls it, which notes that its hook fires."""

    def function(value: Tensor, hook: Any) -> Tensor:
        del hook
        fired.add(intervention.hook)
        changed = intervention.change(value)
        if (changed.shape, changed.dtype) != (value.shape, value.dtype):
            raise ModelError(
                f"an intervention at {intervention.hook} turns {value.dtype} {list(value.shape)} "
                f"into {changed.dtype} {list(changed.shape)}"
            )
        return changed

    return function


def content_of(tensors: Iterable[tuple[str, Tensor]], also: str = "") -> str:
    """Return a hash, 32 hexadecimal digits, of named tensors and of a text."""
    digest = hashlib.blake2b(also.encode(), digest_size=16)
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        flat = tensor.detach().reshape(-1).cpu().contiguous()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def close(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests names like ``name``."""
    like = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; close to it: {', '.join(like)}" if like else ""


def one_line(error: BaseException) -> str:
    """Return what an error of another library says, as one short line."""
    text = out_of_reach(error) or " ".join(str(error).split()) or type(error).__name__
    if len(text) > 200:
        text = text.split(". ")[0]
    return text if len(text) <= 200 else text[:197] + "..."
