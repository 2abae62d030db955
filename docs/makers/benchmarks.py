"""Tables of the benchmarks: how often receptive fields were compared, how fast the summary is."""

from __future__ import annotations

import json
from typing import Any

from makers.records import RECORDS

PROPERTY = RECORDS / "rf_property_10000.json"
SUMMARY = RECORDS / "benchmarks" / "summary.json"


def fields(record: dict[str, Any]) -> str:
    """What the random networks were made of, and how many of them disagreed."""
    differ = len(record["graphs_that_differ"])
    first, last = record["seeds"]
    lines = [
        "| random networks | units compared | networks that differ |",
        "|--:|--:|--:|",
        f"| {record['graphs']:,} | {record['units_compared']:,} | {differ:,} |",
        "",
        "| status | networks |",
        "|---|--:|",
        *(f"| {status} | {count:,} |" for status, count in record["statuses"].items()),
        "",
        "| what they are made of | times |",
        "|---|--:|",
        *(f"| {piece} | {count:,} |" for piece, count in record["pieces"].items()),
        "",
        f"Seeds {first} to {last}; {record['device']}; torch {record['versions']['torch']}; "
        f"{record['seconds']:,.0f} s; {record['date']}. Repeat it with:",
        "",
        f"```sh\n{record['command']}\n```",
    ]
    return "\n".join(lines)


def summary(record: dict[str, Any]) -> str:
    """Seconds and memory of the extended summary beside torchinfo's."""
    lines = [
        "| model | eva, s | torchinfo, s | eva / torchinfo |",
        "|---|--:|--:|--:|",
    ]
    for row in record["times"]:
        lines.append(
            f"| {row['model']} | {row['eva_seconds']:.2f} | {row['torchinfo_seconds']:.2f} "
            f"| {row['ratio']:.2f} |"
        )
    memory = record["resnet50_1x3x4096x4096_growth_mb"]
    device, versions = record["device"], record["versions"]
    lines += [
        "",
        "| resnet50 on 1x3x4096x4096 | eva | torchinfo |",
        "|---|--:|--:|",
        f"| growth of the process's memory, MB | {memory['eva']:,.0f} "
        f"| {memory['torchinfo']:,.0f} |",
        "",
        f"Medians of {record['rounds']} rounds in which both ran in turn; input {record['input']}; "
        f"{device['name']}, threads: {device['threads']}; torch {versions['torch']}, torchinfo "
        f"{versions['torchinfo']}; {record['date']}. Repeat it with:",
        "",
        "```sh\npython tests/benchmarks/bench_summary.py\n```",
    ]
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes; a sentence in the place of a record that is not there."""
    made = {}
    for name, path, table in (("fields", PROPERTY, fields), ("summary", SUMMARY, summary)):
        text = table(json.loads(path.read_text())) if path.exists() else "No record yet."
        made[f"generated/benchmark-{name}.md"] = text
    return made
