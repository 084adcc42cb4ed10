# Asked on db-1, as root: waits until the API has written its last note, and says what the server has. (By its socket: the
# client would compare the server's certificate with authorities that it does not know.)
for _ in $(seq 200); do
    [ "$(mariadb --skip-ssl -N -e 'SELECT count(*) FROM app.note WHERE title = "last"' 2>/dev/null)" = 1 ] && break
    sleep 2
done
mariadb --skip-ssl -N -e 'SELECT concat("note ", title, ": ", body) FROM app.note'
mariadb --skip-ssl -N -e 'SELECT concat("account ", user, "@", host, " ", ssl_type) FROM mysql.user'
ss -Hltn | awk '{print "listening", $4}'
grep -rl 'PRIVATE KEY' /var/lib/cloud /run/cloud-init | sed 's/^/kept /'
systemctl --failed --no-legend | sed 's/^/failed /'
