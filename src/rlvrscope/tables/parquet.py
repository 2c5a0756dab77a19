"""Parquet tables. pyarrow is an extra and imported late."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rlvrscope.errors import InputError
from rlvrscope.extras import needs_extra
from rlvrscope.files import open_ordinary
from rlvrscope.tables.table import BATCH_ROWS, Batch, Column


@dataclass(frozen=True)
class ParquetTable:
    """Parquet table. Only selected columns are read, a batch of rows at a time; nested fields by dotted names."""

    path: Path
    names: Sequence[str]
    numeric: Sequence[str]
    parts: Sequence[int]
    columnar: bool = True
    row: str = "row"

    @classmethod
    def open(cls, path: Path) -> ParquetTable:
        with _reading(path) as file:
            columns = dict(_leaves(file.schema_arrow))
            names = [*file.schema_arrow.names, *(name for name in columns if name not in file.schema_arrow.names)]
            numeric = [name for name, kind in columns.items() if _is_numeric(kind)]
            return cls(path, names, numeric, range(file.num_row_groups))

    def batches(
        self, columns: Sequence[str], parts: Sequence[int] | None = None, rows: int = BATCH_ROWS
    ) -> Iterator[Batch]:
        with _reading(self.path) as file:
            top = file.schema_arrow.names
            path_of = {name: [name] if name in top else name.split(".") for name in columns}
            for part in self.parts if parts is None else parts:
                row = 1 + sum(file.metadata.row_group(before).num_rows for before in range(part))
                for batch in file.iter_batches(rows, row_groups=[part], columns=list(columns)):
                    coded = {name: _coded(_field(batch, path)) for name, path in path_of.items()}
                    yield Batch(np.arange(row, row + batch.num_rows), coded)
                    row += batch.num_rows


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[Any]:
    with needs_extra("parquet", "reading Parquet"):
        import pyarrow as pa
        import pyarrow.parquet as pq
    with open_ordinary(path, InputError) as opened:
        try:
            with pq.ParquetFile(opened) as file:
                yield file
        except (pa.ArrowException, OSError, ValueError, KeyError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: damaged, or not a Parquet file: {reason}") from error


def _leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (dotted name, type) of every field, nested ones after their parent."""
    from pyarrow import types

    for field in fields:
        yield f"{prefix}{field.name}", field.type
        if types.is_struct(field.type):
            yield from _leaves(field.type, f"{prefix}{field.name}.")


def _field(batch: Any, path: Sequence[str]) -> Any:
    import pyarrow.compute as pc

    column = batch.column(path[0])
    return pc.call_function("struct_field", [column], pc.StructFieldOptions(list(path[1:]))) if path[1:] else column


def _is_numeric(kind: Any) -> bool:
    from pyarrow import types

    return types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind)


def _coded(column: Any) -> Column:
    import pyarrow as pa

    if pa.types.is_nested(column.type):
        return Column.of(column.to_pylist())
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()  # or every batch would carry the dictionary of the whole file
    try:
        column = column.dictionary_encode()
    except (pa.ArrowNotImplementedError, AttributeError):
        return Column.of(column.to_pylist())
    values = column.dictionary.to_pylist()
    code_B = column.indices.fill_null(len(values)).to_numpy(zero_copy_only=False)
    return Column(code_B.astype(np.int64), [*values, None])
