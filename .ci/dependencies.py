"""What the libraries under crates/ drag in: few enough crates, and none that needs a newer Rust.

Looks at what users of a library compile, not at its development dependencies.
"""

import json
import subprocess
import sys

# Most crates below a library with its default features, itself not counted.
BUDGET = {"collimate-aqi": 39}


def cargo(*arguments):
    command = ["cargo", *arguments, "--locked"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def below(library, *options):
    """Names and versions of the crates below a library, without itself."""
    tree = ["tree", "--package", library, "--prefix", "none", "--format", "{p}", *options]
    lines = {tuple(line.split()[:2]) for line in cargo(*tree).splitlines() if line}
    return {(name, number.removeprefix("v")) for name, number in lines if name != library}


def as_tuple(number):
    return tuple(int(part) for part in (number + ".0.0").split(".")[:3])


def main():
    metadata = json.loads(cargo("metadata", "--all-features", "--format-version", "1"))
    members = set(metadata["workspace_members"])
    libraries = [p for p in metadata["packages"] if p["id"] in members and p["publish"] != []]
    needs = {(p["name"], p["version"]): p["rust_version"] or "1.0" for p in metadata["packages"]}
    errors = []
    for library in libraries:
        name, promised = library["name"], library["rust_version"]
        if promised is None:
            errors.append(f"{name} does not state its rust-version")
            continue
        default = below(name, "--edges", "normal")
        every = below(name, "--edges", "normal,build", "--all-features")
        print(f"{name}: {len(default)} crates below it by default, {len(every)} with all features")
        if len(default) > BUDGET.get(name, len(default)):
            errors.append(f"{name} has {len(default)} crates below it, at most {BUDGET[name]}")
        errors += [
            f"{name} promises Rust {promised}, but {crate} {number} needs {needs[crate, number]}"
            for crate, number in sorted(every)
            if as_tuple(needs[crate, number]) > as_tuple(promised)
        ]
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return bool(errors)


if __name__ == "__main__":
    sys.exit(main())
