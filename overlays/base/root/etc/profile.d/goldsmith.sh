# Files made at a shell are not for all to read, and a shell that somebody left open closes after a quarter of an hour.
umask 027
readonly TMOUT=900
export TMOUT
