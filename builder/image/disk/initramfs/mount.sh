# Read by initramfs-tools' /init in place of `local` (`boot=goldsmith`): what a root that nothing may write needs before the
# init system looks at it. klibc's tools alone are here: their mount takes options before everything else.
# shellcheck shell=sh disable=SC2154

# Whatever goes wrong ends here, and nowhere in a shell: /scripts/functions' `panic` gives one, unless the kernel was told how
# long to wait before it starts again (`panic=`).
stop() {
    panic=${panic:-10}
    panic "goldsmith: $1: this machine does not start"
    halt -f
    exit 1
}

# An empty, writable layer over /etc: what is written there is gone at the next start.
volatile_etc() {
    modprobe overlay || stop "there is no overlayfs"
    mkdir -p /run/goldsmith-etc || stop "/run cannot be written"
    mount -t tmpfs -o nosuid,nodev,noexec,mode=0755,size=64m goldsmith-etc /run/goldsmith-etc || stop "no memory for /etc"
    mkdir -m 0755 /run/goldsmith-etc/upper /run/goldsmith-etc/work || stop "no memory for /etc"
    mount -t overlay -o "nosuid,nodev,lowerdir=${rootmnt}/etc,upperdir=/run/goldsmith-etc/upper,workdir=/run/goldsmith-etc/work" \
        goldsmith-etc "${rootmnt}/etc" || stop "/etc cannot be made writable"
    # The layer holds it; where it can be seen, somebody could write past it.
    umount /run/goldsmith-etc || stop "the layer over /etc stays in sight"
}

# The machine's id, made at the first start and kept with the state: journals and DHCP know the machine by it, and the one that
# systemd would put into /etc is another one after every start. A state that cannot be mounted here is systemd's to check.
machine_id() {
    local_device_setup "UUID=$state" state false || return 0
    mkdir -p /run/goldsmith-state
    mount -t ext4 -o nosuid,nodev,noexec "$DEV" /run/goldsmith-state || return 0
    # Whoever was root here could have left links, which would be followed out of the state: into this initramfs, or into /etc.
    for path in lib lib/goldsmith lib/goldsmith/machine-id lib/goldsmith/machine-id.new; do
        if [ -h "/run/goldsmith-state/$path" ]; then
            umount /run/goldsmith-state
            return 0
        fi
    done
    kept=/run/goldsmith-state/lib/goldsmith/machine-id
    id=
    [ -f "$kept" ] && read -r id <"$kept"
    if [ "${#id}" != 32 ]; then
        mkdir -p "${kept%/*}"
        oldifs=$IFS
        IFS=-
        # Split at the dashes.
        # shellcheck disable=SC2046
        set -- $(cat /proc/sys/kernel/random/uuid)
        IFS=$oldifs
        id=$1$2$3$4$5
        echo "$id" >"$kept.new" && sync && mv "$kept.new" "$kept"
    fi
    echo "$id" >"${rootmnt}/etc/machine-id"
    umount /run/goldsmith-state
}

# The root that the kernel was told the hash of: without that, or if it cannot be set up so, there is none.
verified_root() {
    roothash=
    # shellcheck disable=SC2013
    for word in $(cat /proc/cmdline); do
        case $word in
        roothash=*) roothash=${word#roothash=} ;;
        esac
    done
    [ "${#roothash}" = 64 ] || stop "the kernel was not told the hash of its root"
    modprobe dm-verity || stop "there is no dm-verity"
    modprobe erofs || stop "there is no erofs"
    local_device_setup "PARTUUID=$hashes" "the root's hashes" false || stop "the root's hashes are not there"
    device_of_hashes=$DEV
    device_of_root=$(resolve_device "PARTUUID=$root") || stop "the root is not there"
    # Kernel's Documentation/admin-guide/device-mapper/verity.rst: version, devices, block sizes, how many blocks, where the
    # tree begins, algorithm, hash, salt, options.
    /goldsmith/ld.so --library-path /goldsmith/lib /goldsmith/dmsetup create root --readonly --noudevsync --noudevrules --table \
        "0 $((blocks * 8)) verity 1 $device_of_root $device_of_hashes 4096 4096 $blocks 1 sha256 $roothash $salt 1 panic_on_corruption" ||
        stop "the root's hashes cannot be set up"
    # Nothing here gives it its name: udev has no rules for it in the initramfs.
    for node in /sys/block/dm-*; do
        [ "$(cat "$node/dm/name")" = root ] && mkdir -p /dev/mapper && ln -sf "../${node##*/}" /dev/mapper/root
    done
    mount -r -t erofs /dev/mapper/root "$rootmnt" || stop "the root is not what its hash says"
}

mountroot() {
    . /goldsmith/configuration
    case $mode in
    verity)
        local_top
        wait_for_udev 10
        local_premount
        verified_root
        ;;
    ro)
        readonly=y
        local_mount_root
        ;;
    *) stop "nobody said how to mount the root" ;;
    esac
    volatile_etc
    machine_id
}
