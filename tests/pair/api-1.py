"""Asked on api-1, as root: the API by HTTPS, and its database past the API. Prints one `KEY VALUE` a line."""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

TLS = "/run/goldsmith/tls/ca.pem"
PASSWORD = "/run/goldsmith/secrets/database-password"
DATABASE = "10.0.0.20"

# Speaks to the database as the API does, with the authority and the password that it is given.
PHP = r"""
$d = json_decode(file_get_contents('/run/goldsmith/facts.json'), true)['database'];
$options = [PDO::ATTR_TIMEOUT => 10];
if (getenv('CA') !== '') {
    $options += [PDO::MYSQL_ATTR_SSL_CA => getenv('CA'), PDO::MYSQL_ATTR_SSL_VERIFY_SERVER_CERT => true];
}
try {
    $database = new PDO("mysql:host={$d['host']};port={$d['port']};dbname={$d['name']}", $d['user'], getenv('PASSWORD'), $options);
    echo $database->query("SHOW SESSION STATUS LIKE 'Ssl_version'")->fetchColumn(1);
} catch (Throwable $error) {
    echo 'refused: ', $error->getMessage();
}
"""


def api(method, path, note=None):
    """What the API answers: status and text; its certificate must be of the fleet's authority."""
    body = None if note is None else json.dumps(note).encode()
    request = urllib.request.Request(f"https://api-1{path}", body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=TLS), timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, repr(error)


def database(ca, password):
    environment = {**os.environ, "CA": ca, "PASSWORD": password}
    done = subprocess.run(["php", "-r", PHP], env=environment, capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split())


def knock(source, port):
    try:
        socket.create_connection((DATABASE, port), timeout=8, source_address=(source, 0)).close()
    except OSError as error:
        return type(error).__name__
    return "open"


def main():
    # The two start together; the database makes its data directory first.
    for _ in range(120):
        status, text = api("POST", "/notes", {"title": "first", "body": "from api-1"})
        if status == 201:
            break
        time.sleep(2)
    print("written", status, text)
    print("read", *api("GET", "/notes"))
    with open(PASSWORD, encoding="ascii") as file:
        password = file.read()
    other = ["req", "-x509", "-newkey", "ed25519", "-nodes", "-keyout", "/tmp/key", "-out", "/tmp/other.pem", "-subj", "/CN=other"]
    subprocess.run(["openssl", *other], check=True, capture_output=True)
    print("right", database(TLS, password))
    print("wrong-authority", database("/tmp/other.pem", password))
    print("wrong-password", database(TLS, "x" * 20))
    print("without-tls", database("", password))
    interface = next(name for name in os.listdir("/sys/class/net") if name != "lo")
    subprocess.run(["ip", "address", "add", "10.0.0.99/24", "dev", interface], check=True)
    for who, source in (("peer", "10.0.0.10"), ("stranger", "10.0.0.99")):
        for port in (3306, 22, 80):
            print(f"{who}-{port}", knock(source, port))
    kept = subprocess.run(["grep", "-rl", password, "/var/lib/cloud", "/run/cloud-init"], capture_output=True, text=True, check=False)
    print("kept", *kept.stdout.split())
    print("failed", subprocess.run(["systemctl", "--failed", "--no-legend"], capture_output=True, text=True, check=False).stdout)
    print("told", *api("POST", "/notes", {"title": "last", "body": "db-1 may go"}))


main()
