"""Section of example customers, from examples.json."""

import math

from recsys.evaluation.examples import CustomerExample, ItemExample
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
    # the first one is open, the others open with a click
    customers = [_customer(example, place == 0) for place, example in enumerate(facts.examples)]
    return Section("examples", "Example customers", lead, tuple(customers))


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
    return ListedItem(name, beside, _score(item.get("score")), item_id in bought)


def _score(score: float | None) -> str:
    """Three digits or so: scores only order the items of one list."""
    if score is None:
        return ""
    if abs(score) >= 100:
        return whole(score)
    return decimal(score, 2 if abs(score) >= 1 else 3)
