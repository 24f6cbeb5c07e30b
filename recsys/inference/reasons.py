"""Why an item is recommended: the purchases that carry its score, from a bundle's because.onnx.

Axes: B users, K recommended items of a user, N reasons of a recommendation, L length of a history.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, TypedDict

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from recsys.bundle.manifest import ValueEntry
from recsys.bundle.reasons import SMALL_SHARE, top_reasons
from recsys.errors import BundleError
from recsys.inference.bundle import Bundle, open_session
from recsys.inference.inputs import as_rows, as_strings

BECAUSE = "because.onnx"
# Floats of a block, as in `Recommender.recommend`.
_BLOCK_FLOATS = 2**24
_PERCENT = np.array(
    [f" ({percent} %)" if percent >= 100 * SMALL_SHARE else "" for percent in range(101)],
    dtype=object,
)


class BecauseEntry(TypedDict):
    """What the manifest says of because.onnx.

    Attributes:
        kind: "exact", "gradient" or "leave_one_out".
        rest: what is in a score beside the purchases.
        inputs, outputs: of the graph.
        floats: width of its widest intermediates per item, and per pair of an item and a purchase.
    """

    kind: str
    rest: str
    inputs: list[ValueEntry]
    outputs: list[ValueEntry]
    floats: list[int]


@dataclass(frozen=True)
class Reasons:
    """The purchases that carry recommendations.

    Attributes:
        item_ids: what was recommended, object (B, K).
        because: items of the history that add most to the score, most first, object (B, K, N); ""
            where fewer add something. Repeated purchases of an item are one reason.
        share: of what all items of the history add or take away, in absolute values, 0 … 1, float32
            (B, K, N); 0 there.
        contribution: what the item adds, in units of the score, float32 (B, K, N); 0 there.
        rest: what does not come from the history, float32 (B, K); -inf where nothing is
            recommended.
        names: of items, for people, by item id.
    """

    item_ids: NDArray[np.object_]
    because: NDArray[np.object_]
    share: NDArray[np.float32]
    contribution: NDArray[np.float32]
    rest: NDArray[np.float32]
    names: Mapping[str, str] = field(default_factory=dict, repr=False)

    def sentences(self) -> NDArray[np.object_]:
        """As "because you bought MILK (62 %), BREAD (21 %)" for each recommendation, object (B, K);
        "" where no purchase carries it. A share of less than 5 % is not written, and a purchase
        of less than half a percent left out.
        """
        percent = np.rint(100 * self.share).astype(np.int64)
        named = np.array(_named(self.because.ravel().tolist(), self.names), dtype=object)
        itself = self.because == self.item_ids[:, :, None]
        words = np.where(itself, "this item", named.reshape(percent.shape)) + _PERCENT[percent]
        shown = percent > 0
        before = np.where(np.arange(percent.shape[2]) > 0, ", ", "because you bought ")
        parts = np.where(shown, before.astype(object) + words, "")  # (B, K, N)
        nothing = np.full(self.item_ids.shape, "", dtype=object)
        return reduce(np.add, np.moveaxis(parts, 2, 0), nothing)


def merged(
    item_ids: NDArray[np.object_],
    history: NDArray[np.object_],
    contributions: NDArray[np.float32],
    rest: NDArray[np.float32],
    top: int,
    names: Mapping[str, str],
) -> Reasons:
    """The reasons of recommendations.

    Args:
        item_ids: recommended (B, K).
        history: item ids, "" pads (B, L).
        contributions: of each purchase to each score (B, K, L).
        rest: (B, K).
        top: N.
        names: of items, by id.
    """
    flat = history.ravel().tolist()
    number = {item: place for place, item in enumerate(dict.fromkeys(flat))}
    items = np.fromiter(map(number.__getitem__, flat), np.int64, len(flat)).reshape(history.shape)
    found = top_reasons(items, contributions, top)
    # one column more, which place -1 finds
    padded = np.pad(history, ((0, 0), (0, 1)), constant_values="")
    because = np.take_along_axis(padded[:, None, :], found.place % padded.shape[1], axis=2)
    return Reasons(item_ids, because, found.share, found.contribution, rest, names)


def joined(
    blocks: list[Reasons], item_ids: NDArray[np.object_], top: int, names: Mapping[str, str]
) -> Reasons:
    """The reasons of blocks of users as one, also where there are none."""
    if not blocks:
        shape = (*item_ids.shape, top)
        numbers = np.zeros(shape, dtype=np.float32)
        return Reasons(
            item_ids, np.full(shape, "", object), numbers, numbers, numbers[..., 0], names
        )
    return Reasons(
        item_ids,
        np.concatenate([block.because for block in blocks]),
        np.concatenate([block.share for block in blocks]),
        np.concatenate([block.contribution for block in blocks]),
        np.concatenate([block.rest for block in blocks]),
        names,
    )


def open_because(bundle: Bundle, threads: int | None = None) -> onnxruntime.InferenceSession:
    """A session on the graph of reasons of a bundle that holds one.

    Raises:
        BundleError: it cannot be opened, or is not as the manifest says.
    """
    path, entry = bundle.path / BECAUSE, bundle.manifest.get("because")
    content = bundle.optional_file(BECAUSE)
    if content is None or not isinstance(entry, dict):
        raise BundleError(f"{bundle.path} lists no {BECAUSE}, or its manifest lacks 'because'")
    try:
        session = open_session(content, threads)
    # The runtime's exceptions share no base class below Exception.
    except Exception as error:
        raise BundleError(f"{path} cannot be opened by ONNX Runtime: {error}") from error
    declared = [value["name"] for side in ("inputs", "outputs") for value in entry[side]]
    found = [node.name for node in (*session.get_inputs(), *session.get_outputs())]
    if found != declared:
        raise BundleError(
            f"{path} has the inputs and outputs {', '.join(found)}, and the manifest declares"
            f" {', '.join(declared)}"
        )
    return session


def as_item_rows(item_ids: Iterable[Any], num_users: int) -> NDArray[np.object_]:
    """Recommended items, a row of equal length for each user, object (B, K).

    Raises:
        ValueError: there are more or fewer rows than users, or they differ in length.
        TypeError: an id is not a string.
    """
    rows = [
        as_strings(row, "a row of item_ids") for row in as_rows(item_ids, "item_ids", num_users)
    ]
    width = len(rows[0]) if rows else 0
    if any(len(row) != width for row in rows):
        raise ValueError("rows of item_ids differ in length: fill them up with ''")
    found = np.empty((num_users, width), dtype=object)
    if width:
        found[:] = rows
    return found


def block_users(entry: BecauseEntry, num_items: int, width: int, length: int) -> int:
    """Users of one run of the graph: its intermediates are bounded.

    Args:
        entry: of the manifest.
        num_items: of the catalogue.
        width: items of a user.
        length: of the longest history.
    """
    of_item, of_purchase = entry["floats"]
    floats = num_items + width * (num_items // 8 + of_item + length * of_purchase)
    return max(1, _BLOCK_FLOATS // floats)


def _named(items: list[str], names: Mapping[str, str]) -> list[str]:
    return [names.get(item, item) for item in items]
