# Does what the calls of py3compile(1) that are noted in a file ask for, with one interpreter.
#
# py3compile keeps its worker in a table and waits for it at the end of each call. Here the table hides the worker until the
# last call is done: the worker then has compiled the files of all packages, in the order of the calls.
import importlib.machinery
import importlib.util
import shlex
import sys

loader = importlib.machinery.SourceFileLoader("py3compile", "/usr/bin/py3compile")
spec = importlib.util.spec_from_loader("py3compile", loader)
tool = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
loader.exec_module(tool)
sys.dont_write_bytecode = before


class Workers(dict):
    def values(self):
        return []


tool.WORKERS = Workers()
with open(sys.argv[1]) as calls:
    lines = list(dict.fromkeys(calls))
for line in lines:
    sys.argv = ["py3compile", *shlex.split(line)]
    try:
        tool.main()
    except SystemExit as end:
        if end.code:
            sys.exit(f"py3compile {line.strip()}: {end.code}")
for worker in dict.values(tool.WORKERS):
    worker.communicate()
    if worker.returncode:
        sys.exit(worker.returncode)
