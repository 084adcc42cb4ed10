# What tmpfiles.d(5) and an instance's first start make, as far as Apache looks for it before it starts.
mkdir -p /run/lock/apache2 /run/apache2 /var/log/apache2
# An instance makes its own certificate: as it does.
if [ -x /usr/lib/goldsmith/tls ]; then
    said=$(/usr/lib/goldsmith/tls 2>&1) || { echo "$said"; exit 1; }
fi
apache2ctl configtest 2>&1
