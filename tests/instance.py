#!/usr/bin/python3
"""Facts that an instance may be told, good and hostile, and what overlays/base makes of each: what it would open, or which
sentence it refuses them with. Run from the repository: python3 tests/instance.py"""

import base64
import contextlib
import importlib.machinery
import importlib.util
import io
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


FACTS = {"version": 1, "name": "db-1", "tls": {"certificate": "PEM"}}
HIDDEN = {"version": 1, "tls": {"key": "the key"}, "secrets": {"database-password": "correct horse"}}


def cached(folder, user, vendor):
    """What cloud-init keeps of an instance that was told this."""
    instance = folder / "instances/i-1"
    instance.mkdir(parents=True)
    texts = {"user-data.txt": user, "user-data.txt.i": user, "vendor-data.txt": vendor, "vendor-data.txt.i": vendor}
    for name, text in {**texts, "obj.pkl": user + vendor, "cloud-config.txt": "", "../../sensitive.json": user + vendor}.items():
        (instance / name).write_text(text)
    return instance


def scrubbed():
    """What is not as it should be after secrets were taken out, and at the start after that."""
    sys.dont_write_bytecode = True  # Beside the program is the overlay.
    loader = importlib.machinery.SourceFileLoader("instance", str(INSTANCE))
    program = importlib.util.module_from_spec(importlib.util.spec_from_loader("instance", loader))
    loader.exec_module(program)
    facts, secrets = f"#goldsmith-instance\n{json.dumps(FACTS)}\n", f"#goldsmith-secrets\n{json.dumps(HIDDEN)}\n"
    whole = program.with_secrets(FACTS, HIDDEN)
    together = f"#goldsmith-instance\n{json.dumps(whole)}\n"
    for way, user, vendor in (("apart", facts, secrets), ("together", together, "")):
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            instance = cached(folder, user, vendor)
            program.INSTANCES, program.SENSITIVE = f"{folder}/instances", f"{folder}/sensitive.json"
            program.USER_DATA, program.VENDOR_DATA = f"{instance}/user-data.txt", f"{instance}/vendor-data.txt"
            program.KEPT = f"{folder}/told/secrets.json"
            if program.told() != whole:
                yield f"{way}: is told {program.told()}"
            program.keep(program.told())
            with contextlib.redirect_stdout(io.StringIO()):
                program.scrub()
            for path in filter(pathlib.Path.is_file, folder.rglob("*")):
                found = any(secret in path.read_text() for secret in ("the key", "correct horse"))
                if found != (path.name == "secrets.json"):
                    yield f"{way}: {path.name} has {'a' if found else 'no'} secret"
            if (folder / "told/secrets.json").stat().st_mode & 0o777 != 0o600:
                yield f"{way}: what is kept is readable to others"
            if program.told() != whole:
                yield f"{way}: at the next start, without a datasource, it is told {program.told()}"
            (instance / "user-data.txt").write_text(facts.replace("db-1", "db-2"))
            if "secrets" in program.told():
                yield f"{way}: other facts are given the secrets of these"
    with tempfile.TemporaryDirectory() as name:
        instance = cached(pathlib.Path(name), facts, "#cloud-config\n{}\n")
        program.INSTANCES, program.SENSITIVE = f"{name}/instances", f"{name}/sensitive.json"
        with contextlib.redirect_stdout(io.StringIO()):
            program.scrub()
        if not (instance / "obj.pkl").exists():
            yield "without a secret, cloud-init's memory is taken from it all the same"


def main():
    failed = 0
    for problem in scrubbed():
        failed += 1
        print(f"scrub: {problem}")
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
