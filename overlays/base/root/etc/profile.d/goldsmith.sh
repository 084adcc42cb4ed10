# Files made at a shell are not for all to read, and a shell that somebody left open closes after a quarter of an hour. (Only bash
# closes; sh does not know `typeset`.)
umask 027
if [ -n "${BASH_VERSION:-}" ]; then
    typeset -xr TMOUT=900
fi
