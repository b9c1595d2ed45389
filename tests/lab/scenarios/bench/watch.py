"""Looks at dm2 all the time, and writes down when REST lists agents and when Redis is a master: one
line each, the name and the milliseconds since 1970. Each look begins 5 ms after the one before."""

import base64
import http.client
import socket
import ssl
import sys
import threading
import time

HOST, FILE, PASSWORD = "10.77.0.12", sys.argv[1], sys.argv[2]
LOCK = threading.Lock()


def rest(context=ssl.create_default_context(cafile="/lab/ca.crt")):
    login = base64.b64encode(("dmapi:" + PASSWORD).encode()).decode()
    headers = {
        "accept": "application/vnd.com.teradata.datamover-v1.0+json",
        "authorization": "Basic " + login,
    }
    connection = http.client.HTTPSConnection("dm2", 1443, timeout=1, context=context)
    try:
        connection.request("GET", "/datamover/agents", headers=headers)
        return connection.getresponse().status == 200
    finally:
        connection.close()


def redis():
    with socket.create_connection((HOST, 6379), timeout=1) as connection:
        connection.sendall(b"ROLE\r\n")
        return b"master" in connection.recv(64)


def watch(name, look):
    while True:
        try:
            found = look()
        except OSError:
            found = False
        if found:
            with LOCK, open(FILE, "a", encoding="utf-8") as file:
                file.write(f"{name} {int(time.time() * 1000)}\n")
            return
        time.sleep(0.005)


open(FILE, "w", encoding="utf-8").close()
for look in (rest, redis):
    threading.Thread(target=watch, args=(look.__name__, look)).start()
