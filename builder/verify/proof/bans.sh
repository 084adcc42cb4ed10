# Starts fail2ban as systemd would, bans one address of each family in every jail, and looks for them in the kernel.
v4=203.0.113.9 v6=2001:db8::9

start() {
    fail2ban-client --logtarget /tmp/fail2ban.log start > /tmp/start 2>&1 || { cat /tmp/start /tmp/fail2ban.log; exit 1; }
}

# Whether a set of the jail $1 holds the address $2, and a rule drops what it holds.
blocked() {
    set="$3-set-$1"
    nft get element inet f2b-table "$set" "{ $2 }" && nft list chain inet f2b-table f2b-chain | grep -q "@$set .*drop"
}

# All jails of the arguments ban both; bans that come from fail2ban's memory take a moment.
look() {
    when=$1; shift
    for jail; do
        tries=0
        until { blocked "$jail" "$v4" addr && blocked "$jail" "$v6" addr6; } > /tmp/look 2>&1; do
            tries=$((tries + 1))
            if [ $tries -ge 50 ]; then
                tail -n 8 /tmp/fail2ban.log
                cat /tmp/look
                echo "jail $jail: $when, the kernel does not block what is banned"
                exit 1
            fi
            sleep 0.1
        done
    done
}

prove() {
    mkdir -p /run/fail2ban
    # One log that is missing keeps all jails from starting; this is what makes them on an instance.
    systemd-tmpfiles --create goldsmith-fail2ban.conf 2>&1 || [ ! -e /usr/lib/tmpfiles.d/goldsmith-fail2ban.conf ]
    fail2ban-client -t
    start
    for jail; do
        fail2ban-client set "$jail" banip $v4 $v6 > /dev/null
    done
    look 'after a ban' "$@"
    fail2ban-client stop > /dev/null
    start
    look 'after a restart' "$@"
    # Exactly these jails: one more would be nobody's.
    listed=$(fail2ban-client status | sed -n 's/.*Jail list:[[:space:]]*//p' | tr -d ' ' | tr ',' '\n' | sort | tr '\n' ' ')
    [ "$listed" = "$(printf '%s\n' "$@" | sort | tr '\n' ' ')" ] || { echo "the jails are $listed, and the recipe says $*"; exit 1; }
}
