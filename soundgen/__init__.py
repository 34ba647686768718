"""Text to sound effects. The Python API is `load_model(name_or_path)` and `model.generate(text)`.

Both are resolved on first use, so that `import soundgen` stays light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from soundgen.pipelines.model import load_model

    __version__: str

__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    if name == "load_model":
        from soundgen.pipelines.model import load_model

        return load_model
    if name == "__version__":
        from importlib.metadata import version

        return version("soundgen")
    raise AttributeError(f"module 'soundgen' has no attribute '{name}'")
