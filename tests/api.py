#!/usr/bin/python3
"""The API of an image, served by the image's own Apache and PHP, over the network to the database of another image: what it answers
to requests good and hostile (golden/api/requests.json), and that it has no database where the database cannot prove who it is.

    goldsmith export api -o api.tar    (and db), unpacked as root
    sudo python3 tests/api.py API_TREE DB_TREE

Nothing is changed in the trees, and nothing is left: all of it runs in namespaces of its own. What systemd would do is done here by
hand: php-fpm runs as a user who is nobody, with his credentials in a folder."""

import http.client
import json
import os
import pathlib
import ssl
import subprocess
import sys
import tempfile
import time

TABLE = json.loads((pathlib.Path(__file__).parent / "golden/api/requests.json").read_text())
POOL = 61200
SECRET = "correct horse"
HEADERS = {"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Server": "Apache"}


def shell(script, *arguments, **more):
    return subprocess.run(["sh", "-euc", script, "sh", *map(str, arguments)], check=True, **more)


def tree(source, at):
    """A root file system that can be written, over one that stays as it is."""
    for part in ("root", "upper", "work"):
        (at / part).mkdir(parents=True)
    shell("""mount -t overlay o -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"; cd "$2/root"
             mount -t proc proc proc; mount --rbind /dev dev; mount -t tmpfs run run; mount -t tmpfs tmp tmp""", source, at)
    return at / "root"


def certificates(at):
    """A fleet's authority, what it signed, and another authority."""
    new = "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=$1"
    for name in ("fleet", "stranger"):
        shell(f"{new} -x509 -days 2 -addext keyUsage=critical,keyCertSign -keyout $1.key -out $1.pem 2> /dev/null", name, cwd=at)
    for name in ("api-1", "db-1", "db-2"):
        shell(f"""{new} -keyout $1.key -out $1.csr 2> /dev/null
                  printf 'authorityKeyIdentifier=keyid\\nsubjectAltName=DNS:%s,DNS:localhost\\n' "$1" > $1.ext
                  openssl x509 -req -in $1.csr -CA fleet.pem -CAkey fleet.key -CAcreateserial -days 2 -extfile $1.ext -out $1.pem \
                      2> /dev/null""", name, cwd=at)


class Database:
    """A server of the database image: no account but the API's, nobody without TLS."""

    def __init__(self, root, keys):
        self.root, self.keys, self.ran = root, keys, None
        shell("""cp "$2"/*.pem "$2"/*.key "$1/run"; mkdir -p "$1/run/mysqld" "$1/data"; exec chroot "$1" sh -c '
                 chown mysql: /data /run/mysqld /run/*.key; mariadb-install-db --no-defaults --user=mysql --datadir=/data > /dev/null 2>&1'
              """, root, keys)
        self.start("db-1")
        self.sql(f"CREATE DATABASE app; CREATE USER app@localhost IDENTIFIED BY '{SECRET}' REQUIRE SSL;"
                 "GRANT SELECT, INSERT, UPDATE, DELETE ON app.* TO app@localhost;")
        self.sql((root / "usr/share/goldsmith/schema.sql").read_text(), "app")

    def sql(self, text, *schema):
        client = ["chroot", self.root, "mariadb", "--no-defaults", "--skip-ssl", "--socket=/run/mysqld/s", *schema]
        return subprocess.run(client, input=text, text=True, capture_output=True, check=True)

    def start(self, certificate):
        """With a certificate of this name, once it answers."""
        self.stop()
        self.ran = subprocess.Popen(
            ["chroot", self.root, "mariadbd", "--no-defaults", "--user=mysql", "--datadir=/data", "--socket=/run/mysqld/s",
             "--bind-address=127.0.0.1", "--require-secure-transport=ON", f"--ssl-cert=/run/{certificate}.pem",
             f"--ssl-key=/run/{certificate}.key"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(60):
            try:
                return self.sql("SELECT 1")
            except subprocess.CalledProcessError:
                time.sleep(0.5)
        raise SystemExit("the database does not start")

    def stop(self):
        if self.ran:
            self.ran.terminate()
            self.ran.wait()
            self.ran = None


def api(root, keys):
    """Apache and PHP of the API image, told what goldsmith-instance.service would have written."""
    facts = {"version": 1, "name": "api-1", "database": {"host": "db-1", "port": 3306, "name": "app", "user": "app"}}
    (root / "run/goldsmith/tls").mkdir(parents=True)
    (root / "run/goldsmith/facts.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost db-1\n")
    shell("""cp "$2/api-1.pem" "$1/run/goldsmith/tls/certificate.pem"; cp "$2/api-1.key" "$1/run/goldsmith/tls/key.pem"
             mkdir -p "$1/run/apache2" "$1/run/php-fpm/sessions" "$1/run/credentials/pool"; cp "$2/fleet.pem" "$1/run/credentials/pool/ca.pem"
             printf %s "$3" > "$1/run/credentials/pool/database-password"
             chown -R "$4:33" "$1/run/php-fpm" "$1/run/credentials/pool"; chmod 0710 "$1/run/php-fpm"; chmod 0700 "$1/run/credentials/pool"
             chroot "$1" /usr/lib/goldsmith/tls > /dev/null 2>&1; chroot "$1" apache2ctl start""", root, keys, SECRET, POOL)
    [fpm] = (root / "usr/sbin").glob("php-fpm*")
    version = fpm.name.removeprefix("php-fpm")
    subprocess.Popen(
        ["chroot", root, "setpriv", f"--reuid={POOL}", "--regid=33", "--clear-groups", "--no-new-privs", "env", "-i",
         "CREDENTIALS_DIRECTORY=/run/credentials/pool", f"/usr/sbin/{fpm.name}", "--nodaemonize", "--fpm-config",
         f"/etc/php/{version}/fpm/php-fpm.conf"], stderr=subprocess.DEVNULL)
    while not (root / "run/php-fpm/api.sock").exists():
        time.sleep(0.2)


def ask(trust, method, path, body):
    """(status, headers, body) of one request over TLS, to a server that can prove that it is api-1."""
    connection = http.client.HTTPSConnection("localhost", 443, context=trust, timeout=30)
    headers, data, chunked = {"Content-Type": "application/json"}, None, False
    if isinstance(body, dict) and "repeat" in body:
        data = json.dumps({"title": "a", "body": "x" * body["repeat"]}).encode()
    elif isinstance(body, dict) and "chunked" in body:
        data, chunked = iter([body["chunked"].encode()]), True
        headers["Transfer-Encoding"] = "chunked"
    elif body is not None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
    path = "/" + "a" * path["path"] if isinstance(path, dict) else path
    connection.request(method, path, data, headers, encode_chunked=chunked)
    answer = connection.getresponse()
    return answer.status, answer.headers, answer.read().decode()


def run(api_tree, db_tree, at):
    wrong = 0

    def expect(what, holds, seen):
        nonlocal wrong
        wrong += not holds
        print(f"{'ok   ' if holds else 'WRONG'} {what}" + ("" if holds else f": {seen}"))

    certificates(at)
    database = Database(tree(db_tree, at / "db"), at)
    root = tree(api_tree, at / "api")
    api(root, at)
    trust = ssl.create_default_context(cafile=at / "fleet.pem")
    for what, method, path, body, status, part in TABLE:
        got, headers, text = ask(trust, method, path, body)
        bare = {name: headers[name] for name, value in HEADERS.items() if headers[name] != value}
        leaks = [name for name in ("X-Powered-By", "ETag", "Via") if name in headers]
        fine = got == status and part in text and not bare and not leaks and "max-age=63072000" in headers["Strict-Transport-Security"]
        expect(f"{what}: {method} {str(path)[:40]}", fine, (got, text[:200], bare, leaks))
    plain = http.client.HTTPConnection("localhost", 80, timeout=30)
    plain.request("POST", "/notes?a=b", "x")
    sent = plain.getresponse()
    expect("80 sends to 443", (sent.status, sent.headers["Location"]) == (308, "https://localhost/notes?a=b"), sent.headers.as_string())
    for old in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        done = subprocess.run(["openssl", "s_client", "-connect", "localhost:443", "-" + old.name.lower().replace("v", ""), "-cipher",
                               "ALL:@SECLEVEL=0"], input=b"", capture_output=True)
        expect(f"{old.name} is not spoken", b"Cipher is (NONE)" in done.stdout, done.stdout[-200:])

    credential = root / "run/credentials/pool/ca.pem"
    for what, certificate, authority in (("of another name", "db-2", "fleet.pem"), ("of a stranger's authority", "db-1", "stranger.pem"),
                                         ("of which nothing is told", "db-1", None)):
        database.start(certificate)
        credential.write_text((at / authority).read_text() if authority else "\n")
        for method, path in (("GET", "/health"), ("GET", "/notes"), ("DELETE", "/notes/2")):
            got, _, text = ask(trust, method, path, None)
            expect(f"a database {what} is none: {method} {path}", got == 503 and "not reached" in text and "SQL" not in text, (got, text))
    credential.write_text((at / "fleet.pem").read_text())
    database.stop()
    expect("a database that is away is told as 503", ask(trust, "GET", "/notes", None)[0] == 503, "")
    database.start("db-1")
    expect("and is found again", ask(trust, "GET", "/notes/2", None)[0] == 200, "")
    return wrong


def main():
    if sys.argv[1:2] == ["inside"]:
        os.makedirs("/tmp", exist_ok=True)
        shell("ip link set lo up; mount -t tmpfs scratch /mnt")
        with tempfile.TemporaryDirectory(dir="/mnt", ignore_cleanup_errors=True) as at:
            wrong = run(*map(os.path.abspath, sys.argv[2:4]), pathlib.Path(at))
        sys.stdout.flush()
        os._exit(bool(wrong))
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    own = ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--propagation", "private"]
    sys.exit(subprocess.run([*own, sys.executable, __file__, "inside", *sys.argv[1:]]).returncode)


if __name__ == "__main__":
    main()
