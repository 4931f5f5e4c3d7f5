"""Lists of what the API tells, with a table for notebooks."""

from __future__ import annotations

import html
from typing import Any, Dict, Iterable, List, Optional, Sequence

Record = Dict[str, Any]


def flatten(record: Record, prefix: str = "") -> Record:
    """{"metrics": {"global": {"loss": 1}}} becomes {"metrics.global.loss": 1}; lists stay as they are."""
    flat: Record = {}
    for key, value in record.items():
        if isinstance(value, dict) and value:
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def _text(value: Any) -> str:
    if value is None or value == {}:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value)


class Records(List[Record]):
    """A list of records, each a dict as the API has it. A notebook shows it as a table."""

    def __init__(self, items: Iterable[Record] = (), columns: Optional[Sequence[str]] = None) -> None:
        """`columns`: the flat names (as "metrics.global.loss") that the notebook's table shows; None: all."""
        super().__init__(items)
        self.columns = columns

    def to_frame(self) -> Any:
        """A pandas.DataFrame with a row for each record; members of members are columns, as `metrics.global.loss`.

        Raises ImportError when pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([flatten(record) for record in self])

    def _repr_html_(self) -> str:
        rows = [flatten(record) for record in self]
        names: Dict[str, None] = {}
        for row in rows:
            names.update(dict.fromkeys(row))
        wanted = self.columns
        shown = [name for name in names if not wanted or any(name == w or name.startswith(w + ".") for w in wanted)]
        head = "".join(f"<th>{html.escape(name)}</th>" for name in shown)
        cells = ["".join(f"<td>{html.escape(_text(row.get(name)))}</td>" for name in shown) for row in rows]
        body = "".join(f"<tr>{of_row}</tr>" for of_row in cells)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
