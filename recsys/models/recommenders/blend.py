"""Several recommenders that answer as one.

Axes: B users, C candidates, I items, U users of the vocabulary, L length of a history, P parts.
"""

import inspect
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from recsys.data.interactions import Interactions
from recsys.errors import ConfigError
from recsys.models.fallback import served_users
from recsys.models.inputs import (
    HISTORY,
    InputVocabulary,
    ModelInput,
    Query,
    ReadsItems,
    item_inputs,
)
from recsys.models.item_tower import ItemTower, item_towers
from recsys.ranges import NonNegative

Scale = Literal["standard", "max", "log"]
SCALES: tuple[Scale, ...] = ("standard", "max", "log")
# a spread below this is none: the part gives every item the same score
_NO_SPREAD = 1e-6


class Blend(nn.Module):
    """score(u, i) = Σ_p w_p z_p(u, i), where z are the scores of a part, comparable between parts.

    The scores of a part are standardised user by user: z = (s - mean) / deviation over the items
    that it knows. `scale` then bends them: "standard" leaves them, "max" divides by the largest of
    the user, "log" is sign(z) log(1 + |z|), which takes weight from outliers. All three keep the
    mean, 0, for what a part does not know: a user with an unknown id or an empty history, where it
    reads the one or the other, and an item that nobody had bought, unless it reads attributes.

    Stacked, a weight depends on the user, w_p(u) = a_p + b_p h(u), where h is the logarithm of the
    number of purchases, and popularity is one part more.

    Source: Fox and Shaw, Combination of Multiple Searches, TREC-2 1994 (CombSUM); standardised:
    Montague and Aslam, Relevance Score Normalization for Metasearch, CIKM 2001. Stacked with
    weights that depend on the user: Sill et al., Feature-Weighted Linear Stacking, 2009.

    Args:
        num_users, num_items: size of the vocabularies.
        num_categories: of the parts that read categories.
        parts: name to what builds the part from these three; two at least.
        weights: name to w_p; None: chosen on validation.
        scale: how scores are made comparable; None: chosen on validation, with the weights.
        stacked: whether weights depend on the user, learned on validation.

    Raises:
        ConfigError: a blend of less than two parts, or weights of others than these.
    """

    weight: Tensor
    length_scale: Tensor
    scale_index: Tensor
    popularity: Tensor
    knows_user: Tensor
    knows_item: Tensor

    def __init__(
        self,
        num_users: int,
        num_items: int,
        num_categories: InputVocabulary,
        parts: Mapping[str, Callable[..., Any]],
        weights: Mapping[str, NonNegative] | None = None,
        scale: Scale | None = None,
        stacked: bool = False,
    ) -> None:
        super().__init__()
        self.num_users, self.num_items = num_users, num_items
        self._num_fitted = num_items
        self.names = tuple(parts)
        self.stacked, self.given_weights, self.given_scale = stacked, weights, scale
        require_blend(self.names, {"weights": weights, "stacked": stacked})
        built = []
        for make in parts.values():
            sizes: dict[str, Any] = {"num_users": num_users, "num_items": num_items}
            if "num_categories" in inspect.signature(make).parameters:
                sizes["num_categories"] = num_categories
            # each begins with the numbers that it would draw alone
            with torch.random.fork_rng(devices=[]):
                built.append(make(**sizes))
        self.parts = nn.ModuleList(built)
        self.scale: Scale = scale or "standard"
        # of the part that takes most; its scores three times while they are scaled; and their sum
        self.floats_per_pair = max(int(part.floats_per_pair) for part in built) + 4
        # (P + 1, 2): of each part and of popularity, constant and with the length of the history
        self.register_buffer("weight", torch.zeros(len(built) + 1, 2))
        self.register_buffer("length_scale", torch.tensor([0.0, 1.0]))
        self.register_buffer("scale_index", torch.tensor(SCALES.index(self.scale)))
        self.register_buffer("popularity", torch.zeros(num_items))
        self.register_buffer("knows_user", torch.ones(num_users, dtype=torch.bool))
        self.register_buffer("knows_item", torch.ones(num_items, dtype=torch.bool))
        if weights is not None:
            self.set_weights(torch.tensor([[float(weights[name]), 0.0] for name in self.names]))

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What any part reads."""
        return tuple(dict.fromkeys(each for part in self._parts for each in part.inputs))

    def item_towers(self) -> tuple[ItemTower, ...]:
        """Those of the parts; to the others new items are items that nobody had bought."""
        return tuple(
            tower.within(f"parts.{place}")
            for place, part in enumerate(self._parts)
            for tower in item_towers(part)
        )

    def item_inputs(self) -> tuple[ModelInput, ...]:
        """What any part reads of items; nothing where none does."""
        return tuple(dict.fromkeys(each for part in self._parts for each in item_inputs(part)))

    @property
    def _parts(self) -> list[Any]:
        return cast(list[Any], list(self.parts))

    @property
    def _grows(self) -> bool:
        """Whether the graph of a bundle is made, which may get more items."""
        return isinstance(self.num_items, torch.SymInt)

    @property
    def _compared(self) -> int | None:
        """Of how many items mean and deviation are taken; None: of all."""
        return self._num_fitted if self._grows else None

    def observe(self, interactions: Interactions) -> None:
        """Notes which users and items the parts know by their purchases."""
        buyers = interactions.buyers
        self.knows_user.copy_(interactions.history.lengths() > 0)
        self.knows_item.copy_(buyers > 0)
        log_buyers = torch.log1p(buyers.float())
        self.popularity.copy_(standardised(log_buyers[None], self.knows_item)[0])

    def set_weights(
        self, weight: Tensor, scale: Scale | None = None, length_scale: Tensor | None = None
    ) -> None:
        """Takes what was chosen.

        Args:
            weight: (P, 2) of the parts, or (P + 1, 2) with popularity: constant, and with the
                length of the history.
            scale: None: as it is.
            length_scale: mean and deviation of the logarithm of that length, (2,); None: as it is.
        """
        self.weight.zero_()
        self.weight[: len(weight)] = weight
        if scale is not None:
            self.scale = scale
            self.scale_index.fill_(SCALES.index(scale))
        if length_scale is not None:
            self.length_scale.copy_(length_scale)

    def serves(self, query: Query) -> Tensor:
        """False where no part that counts knows the user, bool (B,)."""
        served = torch.stack([self._served(part, query)[1] for part in self._parts])  # (P, B)
        counts = (self.weight[: len(self.parts)] != 0).any(dim=1)
        return (served & counts.unsqueeze(1)).any(dim=0)

    def forward(self, query: Query, items: Tensor) -> Tensor:
        """(B, C) -> (B, C)."""
        return self.score_all(query).gather(1, items)

    def score_all(self, query: Query) -> Tensor:
        """-> (B, I); a user index of U stands for an unknown one."""
        length = self.length(query)  # (B,)
        total: Tensor = torch.zeros(1, device=length.device)
        for place in range(len(self.parts)):
            scores = self.of_part(place, query)
            scores = scaled(scores, self.scale, self._compared)  # (B, I)
            total = total + self._of_user(place, length) * scores
        if self.stacked:
            total = total + self._of_user(-1, length) * self._widened(self.popularity)
        return total

    def of_part(self, place: int, query: Query) -> Tensor:
        """Scores of one part with mean 0 and deviation 1 over the items that it knows, and 0 for
        all that it does not know: (B, I).
        """
        part = self._parts[place]
        asked, served = self._served(part, query)
        scores = part.score_all(asked)
        if isinstance(part, ReadsItems):
            found = standardised(scores, num_fitted=self._compared)
        else:
            found = standardised(scores, self.knows_item)
        return torch.where(served.unsqueeze(1), self._widened(found), 0.0)

    def _widened(self, scores: Tensor) -> Tensor:
        """Scores (…, I), 0 for items that came after the fit."""
        if not self._grows:
            return scores
        return functional.pad(scores, (0, self.num_items - scores.shape[-1]))

    def length(self, query: Query) -> Tensor:
        """h: the logarithm of the number of purchases, standardised over the users of validation;
        0 where no part reads them, (B,).
        """
        if not self.stacked or HISTORY not in self.inputs:
            return torch.zeros_like(query.user, dtype=self.weight.dtype)
        length = torch.log1p((query.history < self.num_items).sum(dim=1).float())
        return (length - self.length_scale[0]) / self.length_scale[1]

    def _of_user(self, place: int, length: Tensor) -> Tensor:
        """Weight of a part for every user, (B, 1)."""
        constant, by_length = self.weight[place]
        return (constant + by_length * length).unsqueeze(1)

    def _served(self, part: Any, query: Query) -> tuple[Query, Tensor]:
        """What a part is asked, and whom it serves (B,)."""
        if self._grows:  # items that came after the fit are padding to a part that takes none
            query = replace(query, history=query.history.clamp(max=part.num_items))
        return served_users(part, query, self.knows_user)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Tensor], prefix: str, *args: Any
    ) -> None:
        """Also takes the scale, which decides the graph."""
        if (stored := state_dict.get(prefix + "scale_index")) is not None:
            self.scale = SCALES[int(stored)]
        super()._load_from_state_dict(state_dict, prefix, *args)


def scaled(standardised: Tensor, scale: Scale, num_fitted: int | None = None) -> Tensor:
    """Scores (…, I) of mean 0 and deviation 1 over the first `num_fitted` items, bent."""
    if scale == "log":
        return standardised.sign() * torch.log1p(standardised.abs())
    if scale == "max":
        largest = standardised[..., :num_fitted].amax(dim=-1, keepdim=True)
        return standardised / largest.clamp(min=_NO_SPREAD)
    return standardised


def standardised(
    scores: Tensor, known: Tensor | None = None, num_fitted: int | None = None
) -> Tensor:
    """Scores (B, I) over those of the items that are known (I,), and 0 for the others; where all
    are, over those of the first `num_fitted`.
    """
    fitted = scores[:, :num_fitted]
    if known is None:
        centred = scores - fitted.mean(dim=1, keepdim=True)
        spread = centred[:, :num_fitted].square().mean(dim=1, keepdim=True).sqrt()
    else:
        share = known / known.sum().clamp(min=1)  # (I,)
        mean = (torch.where(known, scores, 0.0) * share).sum(dim=1, keepdim=True)
        centred = torch.where(known, scores - mean, 0.0)
        spread = (centred.square() * share).sum(dim=1, keepdim=True).sqrt()
    # what differs by rounding alone does not differ
    least = _NO_SPREAD * fitted.abs().amax(dim=1, keepdim=True).clamp(min=_NO_SPREAD)
    return torch.where(spread > least, centred / spread.clamp(min=least), 0.0)


def require_blend(parts: Collection[str], arguments: Mapping[str, Any]) -> None:
    """Refuses a blend of less than two parts, and weights that are not theirs.

    Args:
        parts: their names.
        arguments: of the blend.
    """
    if len(parts) < 2:
        raise ConfigError(
            f"model.parts=[{', '.join(parts)}]: a blend has two parts at least; name another one,"
            " or choose model=NAME for one alone"
        )
    weights = arguments.get("weights")
    if weights is None:
        return
    if arguments.get("stacked"):
        raise ConfigError(
            "model.weights has no effect with model.stacked=true, whose weights are learned: leave"
            " one of them out"
        )
    if set(weights) != set(parts):
        raise ConfigError(
            f"model.weights names {', '.join(weights) or 'nothing'}, and the parts are"
            f" {', '.join(parts)}: give each of them a weight, which may be 0"
        )
    if not math.fsum(weights.values()) > 0:
        raise ConfigError("model.weights are all 0: at least one part has to count")
