"""Section of example customers, from examples.json."""

import math

from recsys.bundle.reasons import SMALL_SHARE
from recsys.evaluation.examples import CustomerExample, ItemExample, ReasonExample
from recsys.reports.blocks import Customer, ItemList, ListedItem, Section
from recsys.reports.facts import RankingFacts
from recsys.reports.formats import decimal, plural, whole
from recsys.reports.labels import view_words


def examples_section(facts: RankingFacts) -> Section | None:
    """Some customers: what they bought, what was recommended and what of it they went on to buy."""
    if not facts.examples:
        return None
    lead = (
        "✓ marks a recommendation that the customer really bought in the test period. "
        "These are real customers: treat this page as personal data."
    )
    if any(map(_is_explained, facts.examples)):
        lead += (
            " Below a recommendation stand the purchases that carry its score most, with their"
            " share, from 5 % on, of what all purchases add or take away."
        )
    # the first one is open, the others open with a click
    customers = [_customer(example, place == 0) for place, example in enumerate(facts.examples)]
    return Section("examples", "Example customers", lead, tuple(customers))


def _is_explained(example: CustomerExample) -> bool:
    listed = [*(example.get("new") or ()), *(example.get("all") or ())]
    return any(item.get("because") for item in listed)


def _customer(example: CustomerExample, opened: bool) -> Customer:
    bought = {str(item) for item in example.get("bought") or ()}
    lists = []
    if example.get("history"):
        history = tuple(_listed(item, set()) for item in example["history"])
        lists.append(ItemList("Bought before", "latest first", history))
    for view, shown in (("new", example.get("new")), ("all", example.get("all"))):
        # a masked item that fills up the list of who bought nearly everything is not recommended
        ranked = [item for item in shown or () if item.get("score") != -math.inf]
        items = tuple(_listed(item, bought) for item in ranked)
        if items:
            note = f"{sum(item.hit for item in items)} of {len(items)} bought"
            lists.append(ItemList(f"Recommended: {view_words(view).inline}", note, items))
    before = plural(int(example.get("purchases", 0)), "purchase")
    note = f"{before} before, {plural(len(bought), 'item')} in the test period"
    return Customer(str(example.get("user_id", "")), note, tuple(lists), opened)


def _listed(item: ItemExample, bought: set[str]) -> ListedItem:
    item_id = str(item.get("item_id", ""))
    name = str(item.get("name") or item_id)
    beside = item_id if name != item_id else ""
    because = _because(item_id, item.get("because") or [])
    return ListedItem(name, beside, _score(item.get("score")), item_id in bought, because)


def _because(item_id: str, reasons: list[ReasonExample]) -> str:
    """The purchases that carry an item: because of A (62 %), B (21 %)."""
    if not reasons:
        return ""
    named = (
        ("this item" if reason["item_id"] == item_id else reason["name"], reason["share"])
        for reason in reasons
    )
    return "because of " + ", ".join(
        f"{name} ({100 * share:.0f} %)" if share >= SMALL_SHARE else name for name, share in named
    )


def _score(score: float | None) -> str:
    """Three digits or so: scores only order the items of one list."""
    if score is None:
        return ""
    if abs(score) >= 100:
        return whole(score)
    return decimal(score, 2 if abs(score) >= 1 else 3)
