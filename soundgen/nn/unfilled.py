"""Modules built to be filled from a file: their initial values are left out."""

from __future__ import annotations

from typing import Any

from torch.overrides import TorchFunctionMode


class Unfilled(TorchFunctionMode):
    """Within it, functions of `torch.nn.init` return their tensor as it is.

    Drawing values that a file then replaces takes longer than reading them; the "meta" device,
    which also avoids it, takes a second to import.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Call `func`, unless it fills a tensor."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", None) == "torch.nn.init":
            return kwargs.get("tensor", args[0] if args else None)
        return func(*args, **kwargs)
