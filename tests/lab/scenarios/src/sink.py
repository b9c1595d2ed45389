"""Takes alerts: appends each body to a file, one line each, and answers 200 once it is there."""

import http.server
import json
import sys

PORT, FILE = int(sys.argv[1]), sys.argv[2]


class Sink(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        with open(FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(body) + "\n")
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", PORT), Sink)
open(FILE, "a", encoding="utf-8").close()
server.serve_forever()
