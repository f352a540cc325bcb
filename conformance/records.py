"""Writes the Parquet files and the records in them that the readers of collimate-data are tested with.

    pip install pyarrow==26.0.1
    python conformance/records.py crates/collimate-data/tests/fixtures/records
"""

import datetime
import decimal
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

assert pa.__version__ == "26.0.1", pa.__version__

TURN = pa.struct([("role", pa.string()), ("content", pa.string()), ("name", pa.string())])
SCHEMA = pa.schema(
    [
        ("messages", pa.list_(TURN)),
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("score", pa.float64()),
        ("count", pa.int64()),
        ("small", pa.uint8()),
        ("half", pa.float32()),
        ("good", pa.bool_()),
        ("tags", pa.list_(pa.string())),
        ("day", pa.date32()),
        ("seen", pa.timestamp("us")),
        ("price", pa.decimal128(9, 2)),
        ("extra", pa.map_(pa.string(), pa.int32())),
        ("raw", pa.binary()),
    ]
)


def row(number):
    turns = [
        {"role": "user", "content": f"Wie viel ist {number} + 1? \U0001f642\n", "name": None},
        {"role": "assistant", "content": str(number + 1), "name": "rechner"},
    ]
    return {
        "messages": turns * (number % 3),
        "source": ["web", "book"][number % 2],
        "score": None if number == 3 else number / 8,
        "count": 2**62 + number,
        "small": 200 + number,
        "half": 0.5,
        "good": number % 2 == 0,
        "tags": None if number == 1 else ["a"] * number,
        "day": datetime.date(2024, 2, 28) + datetime.timedelta(days=number),
        "seen": datetime.datetime(2024, 2, 28, 23, 59, 59, 999999),
        "price": decimal.Decimal(number) - decimal.Decimal("2.05"),
        "extra": {"k": number},
        "raw": b"bytes",
    }


def expected(row):
    shown = dict(row)
    shown["day"] = row["day"].isoformat()
    shown["seen"] = row["seen"].isoformat()
    shown["price"] = str(row["price"])
    shown["raw"] = row["raw"].decode()
    return shown


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(number) for number in range(7)]
    table = pa.Table.from_pylist(
        [{**row, "extra": list(row["extra"].items())} for row in rows], schema=SCHEMA
    )
    for compression in ["none", "snappy", "zstd", "gzip"]:
        version = "2.0" if compression == "zstd" else "1.0"
        pq.write_table(
            table,
            folder / f"{compression}.parquet",
            compression=compression,
            row_group_size=3,
            data_page_version=version,
            store_schema=False,
        )
    lines = [json.dumps(expected(row), ensure_ascii=False) for row in rows]
    (folder / "expected.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


main(pathlib.Path(sys.argv[1]))
