"""What a machine's program that asks its provider begins with: the calls, and trying again for ten minutes."""
import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

METADATA = "http://169.254.169.254/"
DEADLINE = time.monotonic() + 600
# The address is the machine's own link: no proxy knows it.
direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def metadata(path, header, query=()):
    """What the provider tells this machine of itself."""
    request = urllib.request.Request(METADATA + path + "?" + urllib.parse.urlencode(query), headers=dict([header]))
    with direct.open(request, timeout=20) as answer:
        return answer.read().decode()


def call(method, url, token):
    """The provider's answer, as text."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + token}, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read().decode()


def persist(action, is_over):
    """Tries until it is done, until `is_over` says of a refusal that trying again changes nothing, or until the end."""
    pause = 2
    while True:
        try:
            return action()
        except urllib.error.HTTPError as error:
            print(f"{error.url.partition('?')[0]}: {error}", file=sys.stderr)
            if is_over(error):
                return None
        except (OSError, ValueError, KeyError) as error:
            print(error, file=sys.stderr)
        if time.monotonic() + pause > DEADLINE:
            return None
        time.sleep(pause)
        pause = min(2 * pause, 30)
