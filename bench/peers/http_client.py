# Python's http.client, as its manual has it: one connection, request after
# request. See run for what it is given and prints.
import http.client
import json
import os
import ssl
import sys
import time
from urllib.parse import urlsplit

url = urlsplit(os.environ["PEER_URL"])
context = ssl.create_default_context(cafile=os.environ["PEER_CA"])
connection = http.client.HTTPSConnection(url.hostname, url.port, context=context)
HEADERS = {
    "Authorization": "Basic " + os.environ["PEER_TOKEN"],
    "Content-Type": "application/json",
}


def fetch(body):
    connection.request("POST", url.path, body=body, headers=HEADERS)
    response = connection.getresponse()
    text = response.read()
    assert response.status == 200, response.status
    return json.loads(text)


bodies = open(os.environ["PEER_BODIES"]).read().split("\n")[:-1]
count = int(sys.argv[1])
fetch(bodies[0])
started, cpu, tickets = time.monotonic(), time.process_time(), 0
for i in range(count):
    tickets += len(fetch(bodies[i % len(bodies)]))
print("%.6f %.6f %d" % (time.monotonic() - started, time.process_time() - cpu, tickets))
