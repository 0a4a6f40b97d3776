"""Names and signatures of the real CuPy, and the check of a call against them."""

import dataclasses
import functools
import json
import pathlib

GOLDEN = pathlib.Path(__file__).parents[1] / "golden" / "cupy_surface.json"
SURFACE = json.loads(GOLDEN.read_text(encoding="utf-8"))

UFUNC = "ufunc"
OBJECT = "object"  # classes, constants


@dataclasses.dataclass(frozen=True)
class Signature:
    """Argument names, from text such as ``a, axis, *, order, **``."""

    positional: tuple[str, ...]
    keyword_only: tuple[str, ...]
    any_positional: bool
    any_keyword: bool

    @classmethod
    @functools.cache
    def parse(cls, text: str) -> "Signature":
        names = [name.strip() for name in text.split(",") if name.strip()]
        any_keyword = names[-1:] == ["**"]
        names = names[:-1] if any_keyword else names
        star = next((i for i, name in enumerate(names) if name.startswith("*")), len(names))
        return cls(
            positional=tuple(names[:star]),
            keyword_only=tuple(names[star + 1 :]),
            any_positional="*args" in names,
            any_keyword=any_keyword,
        )

    def check(self, name: str, args: tuple, kwargs: dict) -> None:
        """Raise TypeError where the real function would."""
        known = self.positional + self.keyword_only
        for keyword in kwargs:
            if keyword not in known and not self.any_keyword:
                raise TypeError(
                    f"{name}() got an unexpected keyword argument '{keyword}' "
                    f"(CuPy {SURFACE['cupy']} has only {', '.join(known)})"
                )
        if len(args) > len(self.positional) and not self.any_positional:
            raise TypeError(
                f"{name}() takes {len(self.positional)} positional arguments "
                f"but {len(args)} were given"
            )


def check_call(name: str, signature: str, args: tuple, kwargs: dict) -> None:
    """Check a call against the text of a signature."""
    Signature.parse(signature).check(name, args, kwargs)
