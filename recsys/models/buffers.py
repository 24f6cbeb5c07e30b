"""Buffers of a model whose size the data tell, and no setting."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn


def make_room(
    module: nn.Module, names: Iterable[str], state: Mapping[str, Tensor], prefix: str
) -> None:
    """Gives buffers the sizes that they have in a stored state, into which they are loaded then.

    Args:
        module: that is about to load.
        names: of its buffers.
        state, prefix: as `nn.Module._load_from_state_dict` gets them.
    """
    for name in names:
        if (stored := state.get(prefix + name)) is not None:
            setattr(module, name, torch.empty_like(stored))
