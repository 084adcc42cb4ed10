# Python before 3.11 writes sets in the order of their hashes, and the scripts of its packages keep it from reading PYTHONHASHSEED
# (`python3.9 -E`): what they have compiled is compiled again, in one order, with the seed.
for python in /usr/bin/python3.[0-9] /usr/bin/python3.10; do
    [ -x "$python" ] || continue
    library=/usr/lib/${python##*/}
    find "$library" -name '*.pyc' | sed 's#/__pycache__/\([^/]*\)\.cpython-[0-9]*\.pyc$#/\1.py#' | sort -u |
        "$python" -S "$library/py_compile.py" -
done
