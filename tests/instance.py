#!/usr/bin/python3
"""Facts that an instance may be told, good and hostile, and what overlays/base makes of each: what it would open, or which
sentence it refuses them with. Run from the repository: python3 tests/instance.py"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
INSTANCE = HERE.parent / "overlays/base/root/usr/lib/goldsmith/instance"
TABLE = json.loads((HERE / "golden/instance/cases.json").read_text())


def facts_of(case):
    """The bytes of user-data: as text, or what JSON cannot hold, or is too long to be written down."""
    if "base64" in case:
        return base64.b64decode(case["base64"])
    if "repeat" in case:
        head, one, times, tail = case["repeat"]
        return (head + one * times + tail).encode()
    return case["facts"].encode()


def wrong(case, ran):
    """What is not as the table has it."""
    if ran.stderr or ran.returncode not in (0, 1):
        yield f"ended with {ran.returncode}: {ran.stderr.decode()}"
        return
    found = json.loads(ran.stdout)
    if "refused" in case:
        if case["refused"] not in found.get("refused", "not at all"):
            yield f"is refused: {found.get('refused', 'not at all')}, instead of: {case['refused']}"
        return
    wants = case["wants"]
    if "refused" in found:
        yield f"is refused: {found['refused']}"
        return
    files = found["files"]
    got = {
        "say": found["say"],
        "chains": found["chains"],
        "hosts": found["hosts"],
        "bind": files["mariadb.env"][1].strip().partition("--bind-address=")[2],
        "modes": {name: mode for name, (mode, _) in files.items()},
        "hidden": [text for text in wants.get("hidden", []) if text not in files["facts.json"][1]],
    }
    for key, want in wants.items():
        if got[key] != want:
            yield f"{key} is {got[key]}, instead of {want}"


def main():
    failed = 0
    with tempfile.TemporaryDirectory() as folder:
        image, secrets = pathlib.Path(folder, "image.json"), pathlib.Path(folder, "vendor-data")
        image.write_text(json.dumps(TABLE["image"]))
        for case in TABLE["cases"]:
            secrets.write_text(case.get("secrets", ""))
            command = [sys.executable, "-I", INSTANCE, "plan", image, secrets]
            ran = subprocess.run(command, input=facts_of(case), capture_output=True)
            for problem in wrong(case, ran):
                failed += 1
                print(f"{case['why']}: {problem}")
    print(f"{len(TABLE['cases'])} cases, {failed} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
