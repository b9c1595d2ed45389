"""A real SMTP server (Debian's python3-aiosmtpd) for the tests of e-mail: TLS and a login are required.

usage: smtp_server.py CERTIFICATE KEY FOLDER

Prints two ports, for STARTTLS and for TLS from the first byte, then serves until it is ended. Each e-mail that is sent to it becomes a file in FOLDER, taken apart by
Python's own parser. Who is written to decides: never@ is refused for good, full@ for now, and the first e-mail for
later@ is not taken when it is there. The password is `hunter2/of"steel`; another one is repeated in the refusal.
"""

import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

PASSWORD = b'hunter2/of"steel'


class Handler:
    def __init__(self, folder):
        self.folder = folder
        self.count = 0
        self.deferred = False

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("never@"):
            return "550 5.1.1 nobody of that name"
        if address.startswith("full@"):
            return "452 4.2.2 the mailbox is full"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        parts = [part for part in message.walk() if not part.is_multipart()]
        seen = {
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "hello": session.host_name,
            "user": session.auth_data,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "parts": [
                {
                    "type": part.get_content_type(),
                    "name": part.get_filename(),
                    "text": part.get_payload(decode=True).decode("utf-8").replace("\r\n", "\n"),
                }
                for part in parts
            ],
        }
        self.count += 1
        path = os.path.join(self.folder, f"{self.count}.json")
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(seen, file)
        os.rename(path + ".new", path)
        if not self.deferred and any(to.startswith("later@") for to in envelope.rcpt_tos):
            self.deferred = True
            return "451 4.3.0 not now"
        return "250 2.0.0 taken"


def login(server, session, envelope, mechanism, data):
    if data.password == PASSWORD:
        return AuthResult(success=True, auth_data=data.login.decode())
    said = data.password.decode()
    return AuthResult(success=False, handled=False, message=f"535 5.7.8 it is not {said}")


async def main():
    # It warns of its own use of what it has deprecated.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    certificate, key, folder = sys.argv[1:]
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    handler = Handler(folder)

    common = {"hostname": "mx.test", "authenticator": login, "auth_required": True}

    def upgraded():
        return SMTP(handler, tls_context=tls, require_starttls=True, **common)

    def whole():
        # It only knows of the TLS that it has begun itself.
        return SMTP(handler, auth_require_tls=False, **common)

    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(upgraded, "127.0.0.1", 0),
        await loop.create_server(whole, "127.0.0.1", 0, ssl=tls),
    ]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


asyncio.run(main())
