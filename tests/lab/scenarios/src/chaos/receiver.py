"""Takes alerts: appends each notification that it accepts to a file, one line each, and answers 200 once it is there.
While the file REFUSE exists, it answers 503."""

import http.server
import json
import os
import sys
import time

PORT, FILE, REFUSE = int(sys.argv[1]), sys.argv[2], sys.argv[3]


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if os.path.exists(REFUSE):
            self.answer(503)
            return
        taken = {"at": time.time_ns() // 1000000, "key": self.headers["idempotency-key"], "body": body}
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(taken) + "\n")
        self.answer(200)

    def answer(self, code):
        self.send_response(code)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Receiver)
open(FILE, "a", encoding="utf-8").close()
server.serve_forever()
