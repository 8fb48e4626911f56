#!/usr/bin/env python3
"""Holds the dependency graph that Cargo.lock describes to deny.toml.

Reads the part of cargo-deny's format that deny.toml uses, refuses every other key, and needs
nothing but Python 3.11 and cargo. Prints a sentence per finding; any error fails the check.
The graph is cargo's widest: all platforms, and optional crates that a feature merely names.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
KEYS = {
    "licenses": {"allow"},
    "bans": {"multiple-versions", "deny", "skip", "features"},
    "sources": {"unknown-registry", "unknown-git", "allow-registry", "allow-git"},
}
NAMED = {"crate", "reason"}
ENTRIES = {"deny": NAMED, "skip": NAMED, "features": NAMED | {"deny"}}


def config_errors(rules):
    """A rule that nobody enforces, or that nobody can explain, is worse than none."""
    if {table: set(keys) for table, keys in rules.items()} != KEYS:
        yield "deny.toml must have exactly these tables and keys: " + ", ".join(
            f"{table}.{key}" for table, keys in KEYS.items() for key in sorted(keys)
        )
        return
    levels = {value for table in rules.values() for value in table.values() if type(value) is str}
    if levels - {"allow", "warn", "deny"}:
        yield 'deny.toml: multiple-versions and unknown-… must be "allow", "warn" or "deny"'
    for name, keys in ENTRIES.items():
        for entry in rules["bans"][name]:
            if entry.keys() != keys or not entry["reason"]:
                yield f"deny.toml: each entry of bans.{name} has exactly {', '.join(sorted(keys))}"
            elif not re.fullmatch(r"[\w-]+(:(0\.)?\d+)?", entry["crate"]):
                yield f"deny.toml: {entry['crate']}: write a name, NAME:2 or NAME:0.52"


def matches(entry, package):
    """Whether `NAME`, `NAME:2` or `NAME:0.52` means this package."""
    name, _, series = entry["crate"].partition(":")
    return name == package["name"] and f"{package['version']}.".startswith(series and f"{series}.")


def permitted(expression, allow):
    """Whether an SPDX expression can be met with the allowed licences; the old `/` means OR."""

    def met(flat):
        choices = (choice.split(" AND ") for choice in flat.split(" OR "))
        return any(all(term.strip() in {*allow, "<met>"} for term in choice) for choice in choices)

    expression = " ".join(expression.replace("/", " OR ").split())
    while inner := re.search(r"\(([^()]*)\)", expression):
        answer = "<met>" if met(inner[1]) else "<not>"
        expression = expression[: inner.start()] + answer + expression[inner.end() :]
    return met(expression)


def source_finding(package, sources):
    """The level and the sentence for a package from elsewhere; a path has no source at all."""
    if not package["source"]:
        return "deny", "comes from a path outside the workspace"
    kind, _, address = package["source"].partition("+")
    key = "git" if kind == "git" else "registry"
    known = re.split("[?#]", address)[0] in sources[f"allow-{key}"]
    return "allow" if known else sources[f"unknown-{key}"], f"comes from an unknown {key}"


def findings(rules, metadata):
    """Every finding, as a level and a sentence."""
    features = {node["id"]: node["features"] for node in metadata["resolve"]["nodes"]}
    packages = [package for package in metadata["packages"] if package["id"] in features]
    bans, versions = rules["bans"], defaultdict(list)
    for package in packages:
        name = f"{package['name']} {package['version']}"
        if package["id"] not in metadata["workspace_members"]:
            level, sentence = source_finding(package, rules["sources"])
            yield level, f"{name} {sentence}"
        licence = package["license"] or "no licence that it names"
        if not permitted(licence, rules["licenses"]["allow"]):
            yield "deny", f"{name} is under {licence}, which deny.toml does not allow"
        for ban in filter(lambda entry: matches(entry, package), bans["deny"]):
            yield "deny", f"{name} is banned: {ban['reason']}"
        for rule in filter(lambda entry: matches(entry, package), bans["features"]):
            for feature in sorted(set(rule["deny"]) & set(features[package["id"]])):
                yield "deny", f"{name} has feature {feature}, which is banned: {rule['reason']}"
        if not any(matches(entry, package) for entry in bans["skip"]):
            versions[package["name"]].append(package["version"])
    for name, found in versions.items():
        if len(found) > 1:
            yield bans["multiple-versions"], f"{name} is here {len(found)} times: {', '.join(found)}"
    for entry in bans["skip"]:
        if not any(matches(entry, package) for package in packages):
            yield "warn", f"deny.toml skips {entry['crate']}, which is no longer here"


def main():
    rules = tomllib.loads((ROOT / "deny.toml").read_text("utf-8"))
    found = [("deny", sentence) for sentence in config_errors(rules)]
    if not found:
        command = ["cargo", "metadata", "--locked", "--format-version", "1"]
        answer = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=False)
        if answer.returncode != 0:
            return answer.returncode
        found = list(findings(rules, json.loads(answer.stdout)))
    for level, sentence in found:
        if level != "allow":
            print("error:" if level == "deny" else "warning:", sentence, file=sys.stderr)
    return int(any(level == "deny" for level, _ in found))


if __name__ == "__main__":
    sys.exit(main())
