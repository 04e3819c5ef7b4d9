"""The page served by the program itself, answered by the bundled model."""
import json
import os
import re
import signal
import subprocess
import time
import unittest
import urllib.request

from browser import INSECURE_HOST, SAMPLES, PageTest, expect
from mock_server import policy

PROGRAM = os.environ.get("FASTVLM_PROGRAM", "")
ANSWERS = {(row["image"], row["question"]): row["answer"]
           for row in map(json.loads, (SAMPLES / "questions.jsonl").read_text(encoding="utf-8").splitlines())}
NETWORK = "Failed to load resource"


@unittest.skipUnless(PROGRAM, "FASTVLM_PROGRAM names no program")
class ServeTest(PageTest):
    def setUp(self):
        super().setUp()
        self.port = 0  # one that is free; after a restart the same
        self.process = None
        self.log = os.path.join(self.directory.name, "serve.log")
        self.addCleanup(self.stop)

    def serve(self, *flags):
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([PROGRAM, "serve", "--port", str(self.port), "--threads", "1", *flags], stderr=log)
        for _ in range(600):
            with open(self.log, encoding="utf-8") as log:
                text = log.read()
            serving = re.search(r"Serving .* at (https?://\S+)", text)
            if serving:
                url = serving.group(1).rstrip("/")
                self.port = int(url.rsplit(":", 1)[1])
                return url + "/"
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        self.fail(f"the program does not serve: {text}")

    def stop(self):
        if not self.process:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(30)
        self.process = None
        return status

    def metric(self, name):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics") as response:
            text = response.read().decode()
        return sum(float(value) for value in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))


class Nano(ServeTest):
    camera = ["demo", "fox"]
    seconds = 5

    def test_samples_are_answered_as_the_model_does(self):
        url = self.serve()
        with urllib.request.urlopen(url) as response:
            self.assertEqual(response.headers.get_all("Content-Security-Policy"), [policy()])
            tag = response.headers["ETag"]
        with self.assertRaises(urllib.error.HTTPError) as unchanged:
            urllib.request.urlopen(urllib.request.Request(url, headers={"If-None-Match": tag}))
        self.assertEqual(unchanged.exception.code, 304)
        unchanged.exception.close()

        page = self.ready(url)
        for index, name in ((0, "demo.png"), (2, "count.png"), (3, "one.png"), (4, "group.png"), (5, "word.png")):
            self.sample(index)
            expect(page.locator("#text")).to_have_text(ANSWERS[name, page.input_value("#prompt")])
            expect(page.locator("#answer")).to_have_attribute("data-state", "done")
        self.assertRegex(page.locator("#ttft").inner_text(), r"^[\d.]+ m?s$")
        self.assertRegex(page.locator("#speed").inner_text(), r"^[\d.]+k? tokens/s$")
        tokens_in = int(page.locator("#tokens").inner_text().split()[0])
        self.assertGreater(tokens_in, 36)  # the picture's own, and the words around them
        for name in ("image", "encode", "prefill", "decode"):
            self.assertRegex(page.locator(f"#{name}-ms").inner_text(), r"^[\d.]+ m?s$")

        # Another question about the same picture; the server does not encode it again.
        encoded = self.metric("fastvlm_images_encoded_total")
        self.assertEqual(encoded, 5)
        page.locator(".chip", has_text="Color").click()
        expect(page.locator("#question")).to_have_text("What color is the background?")
        expect(page.locator("#history-list li")).to_have_count(6)
        self.assertEqual(self.metric("fastvlm_images_encoded_total"), encoded)
        self.assertEqual(page.locator("#encode-ms").inner_text(), "known")

    def test_the_camera_live(self):
        page = self.ready(self.serve())
        begin = time.monotonic()
        page.click("#live")
        for words in ("alien", "fox", "alien"):
            expect(page.locator("#text")).to_contain_text(words)
        page.click("#live")
        expect(page.locator("#send")).to_have_attribute("aria-label", "Ask")
        scenes = (time.monotonic() - begin) / self.seconds + 2  # at most so many, with those that had begun and not ended
        self.assertLessEqual(self.metric("fastvlm_images_encoded_total"), scenes)  # not one for each frame

    def test_a_restart(self):
        self.expected = (NETWORK,)
        page = self.ready(self.serve())
        self.sample(0)
        expect(page.locator("#text")).to_contain_text("lobster")
        self.assertEqual(self.stop(), 0)
        page.locator(".chip", has_text="Color").click()
        self.state("gone")
        self.serve()
        self.state("ready")
        expect(page.locator("#text")).to_have_text("White.")

    def test_a_key(self):
        self.expected = (NETWORK,)
        page = self.open(self.serve("--api-key", "sesame"))
        self.state("key")
        page.fill("#key", "sesame")
        page.keyboard.press("Enter")
        self.state("ready")
        self.sample(0)
        expect(page.locator("#text")).to_contain_text("lobster")

    def test_https_gives_the_camera_to_other_devices(self):
        self.expected = ("SSL certificate error",)  # the page works, but Chromium does not keep it
        certificate, key = (os.path.join(self.directory.name, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-days", "1", "-subj", f"/CN={INSECURE_HOST}", "-addext", f"subjectAltName=DNS:{INSECURE_HOST}",
                        "-keyout", key, "-out", certificate], check=True, capture_output=True)
        self.serve("--host", "0.0.0.0", "--allow-host", INSECURE_HOST, "--tls-cert", certificate, "--tls-key", key)
        page = self.ready(f"https://{INSECURE_HOST}:{self.port}/", ignore_https_errors=True)
        self.assertTrue(page.evaluate("isSecureContext"))
        self.turn_camera_on()
        page.click("#send")
        expect(page.locator("#text")).to_contain_text(re.compile("alien|fox"))


if __name__ == "__main__":
    unittest.main()
