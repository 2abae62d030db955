"""Tables of the benchmarks of receptive fields, summary, official grading and start."""

from __future__ import annotations

import json
from typing import Any

from makers.records import RECORDS

PROPERTY = RECORDS / "rf_property_10000.json"
PROGRAMS = RECORDS / "rf_programs.json"
ZOO = RECORDS / "benchmarks" / "zoo.json"
SUMMARY = RECORDS / "benchmarks" / "summary.json"
EXTRACTION = RECORDS / "benchmarks" / "extraction.json"
CHECKS = RECORDS / "benchmarks" / "checks.json"
POOLING = RECORDS / "pooling_property_10000.json"
START = RECORDS / "benchmarks" / "start.json"
CLASS = RECORDS / "benchmarks" / "class.json"


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


def programs(record: dict[str, Any]) -> str:
    """How many random programs there were, and how many of them disagreed."""
    differ = len(record["programs_that_differ"])
    first, last = record["seeds"]
    lines = [
        "| random programs | units compared | programs that differ |",
        "|--:|--:|--:|",
        f"| {record['programs']:,} | {record['units_compared']:,} | {differ:,} |",
        "",
        "| status | programs |",
        "|---|--:|",
        *(f"| {status} | {count:,} |" for status, count in record["statuses"].items()),
        "",
        f"Seeds {first} to {last}; {record['device']}; torch {record['versions']['torch']}; "
        f"{record['seconds']:,.0f} s; {record['date']}. Repeat it with:",
        "",
        f"```sh\n{record['command']}\n```",
    ]
    return "\n".join(lines)


def zoo(record: dict[str, Any]) -> str:
    """Statuses, contradictions, seconds and memory over whole model zoos."""
    found, versions = record["totals"], record["versions"]
    homes = ("torchvision", "timm")
    counts = {h: sum(n.startswith(h) for n in record["models"]) for h in homes}
    seconds, memory = found["seconds_beside_torchinfo"], found["megabytes_beside_torchinfo"]
    pairs = {
        name: m["eva"]["seconds"] / m["torchinfo"]["seconds"]
        for name, m in record["models"].items()
        if m.get("eva", {}).get("seconds") and m["torchinfo"].get("seconds")
    }
    slow = sorted((n for n, ratio in pairs.items() if ratio > 3), key=pairs.__getitem__)[::-1]
    lines = [
        "| models | summarized | asked by NaN | units asked | units too small |",
        "|--:|--:|--:|--:|--:|",
        f"| {found['models']:,} | {found['summarized']:,} | {found['asked_by_nan']:,} "
        f"| {found['units_asked']:,} | {found['units_too_small']:,} |",
        "",
        "| status | rows of the summaries |",
        "|---|--:|",
        *(f"| {status} | {count:,} |" for status, count in found["statuses_of_rows"].items()),
        "",
        "| eva / torchinfo | median | largest |",
        "|---|--:|--:|",
        f"| seconds of the processor | {seconds['median']:.2f} | {seconds['largest']:.2f} |",
        f"| memory of the whole process | {memory['median']:.2f} | {memory['largest']:.2f} |",
        "",
    ]
    if slow:
        named = ", ".join(f"`{n.partition(':')[2]}` ({pairs[n]:.1f})" for n in slow)
        lines += [f"More than three times as long as torchinfo: {named}.", ""]
    lines += [
        f"{counts['torchvision']} models of torchvision and {counts['timm']} of timm, one of a "
        f"family; {record['not_run']} more were not run. {record['device']}; torch "
        f"{versions['torch']}; {record['date']}. Repeat it with:",
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


def extraction(record: dict[str, Any]) -> str:
    """Seconds of the static part of an official grade, and of training a graph."""
    static, training = record["static"], record["training"]
    device, versions = record["device"], record["versions"]
    lines = [
        "| | seconds |",
        "|---|--:|",
        f"| first submission, which starts the warm parent | {static['first_seconds']:.2f} |",
        f"| each of {static['submissions']} after it, median | {static['median_seconds']:.2f} |",
        f"| the slowest of them | {static['worst_seconds']:.2f} |",
        "| a fresh Python that only imports torch, in turn with them, median "
        f"| {static['fresh_python_import_torch_median_seconds']:.2f} |",
        "",
        f"Sandbox of tier {static['tier']}, export of the graph, checks 1 to 6. Training the "
        f"exported graph of {training['model']} takes "
        f"{training['ratio_median_of_pairs']:.2f} times as long as the model that it was exported "
        f"from ({min(training['ratios']):.2f} to {max(training['ratios']):.2f} in "
        f"{training['rounds']} rounds of {training['steps']} steps each, in turn). "
        f"{device['name']}, {record['cpus']} cores; torch {versions['torch']}; {record['date']}. "
        "Repeat it with:",
        "",
        "```sh\npython tests/benchmarks/bench_extraction.py --rounds 20\n```",
    ]
    return "\n".join(lines)


def checks(record: dict[str, Any]) -> str:
    """Seconds of the judge's static checks, a submission."""
    large, device = record["large"], record["device"]
    lines = [
        "| checks 1 to 6 of a record | seconds of the processor |",
        "|---|--:|",
        f"| the first of a process | {record['first']:.2f} |",
        f"| each beyond it, median | {record['median']:.2f} |",
        f"| a network of {large['operations']:,} operations | {large['seconds']:.1f} |",
        f"| once more, for another seed | {record['read_again_for_another_seed']:.5f} |",
        "",
        f"{len(record['networks'])} networks of up to "
        f"{max(row['operations'] for row in record['networks'])} operations. {device['name']}, "
        f"threads: {device['threads']}; torch {record['versions']['torch']}; {record['date']}. "
        "Repeat it with:",
        "",
        "```sh\npython tests/benchmarks/bench_checks.py\n```",
    ]
    return "\n".join(lines)


def pooling(record: dict[str, Any]) -> str:
    """What the proof of pooling said of random graphs, beside what was planted in them."""
    planted, answers = record["planted"], record["answers"]
    lines = [
        "| what was built | graphs | holds | needs-review | fails |",
        "|---|--:|--:|--:|--:|",
    ]
    for kind, count in (
        ("honest", planted["nothing"]),
        ("planted", record["graphs"] - planted["nothing"]),
    ):
        found = (answers.get(f"{kind}: {said}", 0) for said in ("holds", "needs-review", "fails"))
        name = "honest blocks alone" if kind == "honest" else "with one way round the mean"
        lines.append(f"| {name} | {count:,} | " + " | ".join(f"{n:,}" for n in found) + " |")
    first, last = record["seeds"]
    lines += [
        "",
        f"{len(record['wrong']):,} of {record['graphs']:,} graphs got a wrong answer; "
        f"{len(record['blocks'])} kinds of blocks, {len(record['means'])} spellings of the mean, "
        f"{len(planted) - 1} ways round it. Seeds {first} to {last}; {record['device']}; torch "
        f"{record['versions']['torch']}; {record['date']}. Repeat it with:",
        "",
        f"```sh\n{record['command']}\n```",
    ]
    return "\n".join(lines)


def start(record: dict[str, Any]) -> str:
    """Seconds that commands take as whole processes, beside a bare import of PyTorch."""
    lines = ["| command | seconds | beside `import torch` |", "|---|--:|--:|"]
    for name, found in record["commands"].items():
        ratio = found["ratio_to_import_torch"]
        lines.append(f"| `{name}` | {found['median_seconds']:.2f} | {ratio:.2f} |")
    lines += [
        "",
        f"Medians of {record['rounds']} rounds, each command once a round, one thread. "
        f"{record['device']['name']}; torch {record['versions']['torch']}; {record['date']}. "
        "Repeat it with:",
        "",
        "```sh\npython tests/benchmarks/bench_start.py\n```",
    ]
    return "\n".join(lines)


def class_cost(record: dict[str, Any]) -> str:
    """Core-seconds of an official grade by stage, and what a class of 300 comes to."""
    lines = [
        "| submission | sandbox | checks | a seed | an epoch |",
        "|---|--:|--:|--:|--:|",
    ]
    for name, found in record["samples"].items():
        stages = (found[key] for key in ("sandbox", "checks", "seed", "epoch"))
        lines.append(f"| `{name}` | " + " | ".join(f"{value:.1f}" for value in stages) + " |")
    kinds = ", ".join(f"{count} {name}" for name, count in record["composition_of_40"].items())
    largest = record["growth"][-1]
    lines += [
        "",
        f"Core-seconds on {record['device']['name']}, one thread; a seed is reckoned from one "
        f"epoch on all of MNIST. A class of 300 in the proportions of this class of 40 ({kinds}), "
        f"with {record['seeds_that_decide']} seeds that decide, takes "
        f"**{record['core_hours_300']:.0f} core-hours**. The multiplications of its seeds alone "
        f"take {record['sgemm_hours_300']:.0f} at this machine's own rate of matrix products, "
        f"{record['sgemm_rate'] / 1e9:.0f} billion a second. The coordinator of "
        f"{largest['students']:,} students and {largest['jobs']} jobs takes "
        f"{100 * largest['share_of_wall_time']:.2f} % of the time, with simulated trainings. torch "
        f"{record['versions']['torch']}; {record['date']}. Repeat it with:",
        "",
        f"```sh\n{record['command']}\n```",
    ]
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes; a sentence in the place of a record that is not there."""
    made = {}
    tables = (
        ("fields", PROPERTY, fields),
        ("programs", PROGRAMS, programs),
        ("zoo", ZOO, zoo),
        ("summary", SUMMARY, summary),
        ("extraction", EXTRACTION, extraction),
        ("checks", CHECKS, checks),
        ("pooling", POOLING, pooling),
        ("start", START, start),
        ("class", CLASS, class_cost),
    )
    for name, path, table in tables:
        text = table(json.loads(path.read_text())) if path.exists() else "No record yet."
        made[f"generated/benchmark-{name}.md"] = text
    return made
