"""Ids that graphs and npz files can hold."""


def is_usable_id(text: str) -> bool:
    """Whether an id can be in a bundle: "" pads the inputs of the graph, a NUL at the end is lost
    in numpy, and a surrogate is no UTF-8.
    """
    if not text or "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
