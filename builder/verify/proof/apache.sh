# What tmpfiles.d(5) and an instance's first start make, as far as Apache looks for it before it starts.
mkdir -p /run/lock/apache2 /run/apache2 /var/log/apache2
# An instance has its own certificate: where the configuration names one that the image cannot have, one of this moment.
grep -rhiE '^[[:space:]]*SSLCertificate(Key)?File[[:space:]]' /etc/apache2/sites-enabled /etc/apache2/conf-enabled /etc/apache2/mods-enabled 2> /dev/null |
    while read -r _ file; do
        file=${file#\"}; file=${file%\"}
        [ -e "$file" ] || { mkdir -p "${file%/*}"; cat /tmp/pair > "$file" 2> /dev/null || {
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=proof \
                -keyout /tmp/key -out /tmp/certificate 2> /dev/null
            cat /tmp/key /tmp/certificate > /tmp/pair; cat /tmp/pair > "$file"; }; }
    done
apache2ctl configtest 2>&1
