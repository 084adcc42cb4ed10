#!/bin/sh
# The metadata service of Alibaba Cloud in its hardened mode, for one request: from standard input to standard output. Files
# beside this script are what it serves, by the names of the service; `requests` is what it was asked.
#
#   PUT /latest/api/token, with the seconds that it is to live ─▶ a token
#   GET /2016-01-01/…, with the token                         ─▶ the file; without one, 403
#
# Source: ECS user guide, "Instance metadata": security hardening mode.
set -u
cd "$(dirname "$0")" || exit 1
return=$(printf '\r')

# answer STATUS FILE
answer() {
    printf 'HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' "$1" "$(wc -c <"$2")"
    cat "$2"
    echo "$1 $method $path" >>requests
    exit 0
}

read -r method path rest
token='' seconds=''
while read -r name value; do
    value=${value%"$return"}
    case $(printf '%s' "${name%"$return"}" | tr '[:upper:]' '[:lower:]') in
    '') break ;;
    x-aliyun-ecs-metadata-token:) token=$value ;;
    x-aliyun-ecs-metadata-token-ttl-seconds:) seconds=$value ;;
    esac
done

case $method:$path in
PUT:/latest/api/token)
    [ -s token ] && [ -n "$seconds" ] && answer '200 OK' token
    answer '403 Forbidden' /dev/null
    ;;
*..*) answer '400 Bad Request' /dev/null ;;
GET:/2016-01-01/*)
    [ "${token:-none}" = "$(cat token)" ] || answer '403 Forbidden' /dev/null
    [ -f ".$path" ] && answer '200 OK' ".$path"
    ;;
esac
answer '404 Not Found' /dev/null
