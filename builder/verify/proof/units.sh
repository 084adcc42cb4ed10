# Our units by their names; Debian's by the drop-ins that we lay over them.
cd /
set --
for unit in usr/lib/systemd/system/goldsmith* etc/systemd/system/goldsmith*; do
    case $unit in *@.*) continue ;; esac
    [ -f "$unit" ] && [ ! -L "$unit" ] && set -- "$@" "${unit##*/}"
done
for drop in usr/lib/systemd/system/*.d/*goldsmith*.conf etc/systemd/system/*.d/*goldsmith*.conf; do
    [ -f "$drop" ] || continue
    unit=${drop%/*}; unit=${unit##*/}; unit=${unit%.d}
    case $unit in *@.*) continue ;; esac
    # A drop-in for every service, or for a package that this image lacks, has no unit to be read with.
    [ -e "usr/lib/systemd/system/$unit" ] || [ -e "etc/systemd/system/$unit" ] || continue
    set -- "$@" "$unit"
done
[ $# -gt 0 ] || exit 0
# The systemd of Debian 11 wants to be in a control group even to read units, and here there is none: it is shown one.
case $(systemd-analyze verify --man=no "$1" 2>&1) in
*'Cannot determine cgroup'*)
    mkdir -p /sys/fs/cgroup/systemd
    echo 1:name=systemd:/ > /tmp/cgroup
    mount --bind /tmp/cgroup "/proc/$$/cgroup"
    ;;
esac
exec systemd-analyze verify --man=no "$@" 2>&1
