"""What is wrong with a learner's functions, in sentences that a device may report."""
from __future__ import annotations

import math
import os
import re
import sys
import traceback
from typing import Any


class Mistake(Exception):
    """A function may raise it to say the code (`tributary explain`) and the sentence that the device reports."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


def where(bad: BaseException) -> str:
    """The last line of a traceback and where it was, without numbers and quoted texts: they may be values of an
    example."""
    frames = traceback.extract_tb(bad.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith((sys.prefix, "/usr/lib"))] or frames
    place = f" ({os.path.basename(own[-1].filename)}, line {own[-1].lineno})" if own else ""
    lines = [line for line in str(bad).splitlines() if line.strip()]
    text = re.sub(r"'[^']*'|\"[^\"]*\"|[-+]?\d[\d.eE+-]*", "…", lines[0][:200]) if lines else ""
    return f"{type(bad).__name__}{': ' if text else ''}{text}{place}"


def finite(who: str, name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise Mistake("learner-protocol", f"{who} returned a metric '{name}' that is no number") from None
    if not math.isfinite(number):
        raise Mistake("not-finite", f"{who} returned a metric '{name}' that is not finite")
    return number
