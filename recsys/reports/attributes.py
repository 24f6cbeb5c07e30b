"""Whether attributes help customers of whom no purchase is known, in one sentence."""

from recsys.evaluation.cold_users import GainOfAttributes
from recsys.reports.formats import decimal, plural, signed
from recsys.reports.labels import INTERVAL


def attributes_sentence(gain: GainOfAttributes, model: str) -> str:
    """What the paired difference to popularity says, over cold customers with attributes.

    Args:
        gain: cold_users.json.
        model: its title.
    """
    customers = plural(gain["customers"], "cold customer")
    if not gain["columns"]:
        return (
            f"{model} reads no attributes of customers: the {customers} in the test get what is"
            " popular"
        )
    low, high, value, popular = (gain[key] for key in ("low", "high", "value", "popularity"))
    if value is None or popular is None or low is None or high is None:
        return (
            f"whether attributes help is not known: of the {customers} in the test"
            f" {gain['described']:,} have a value in a column that {model} reads"
        )
    outcome = "attributes do not measurably help cold customers here"
    if low > 0:
        outcome = "attributes help cold customers"
    elif high < 0:
        outcome = "attributes make it worse for cold customers here"
    reason = "" if low > 0 or high < 0 else ", which holds zero"
    return (
        f"{outcome}: over the {gain['described']:,} of {customers} with attributes, {model}"
        f" reaches {gain['metric'].upper()} {decimal(value)} against {decimal(popular)} of"
        f" popularity, a difference of {signed(value - popular)} ({INTERVAL}"
        f" {signed(low)} to {signed(high)}{reason})"
    )
