"""What the page's tests share: Chromium with a fake camera, and pages whose console is watched."""
import base64
import os
import pathlib
import re
import shutil
import tempfile
import unittest

from playwright.sync_api import expect, sync_playwright

import fake_camera
from mock_server import Mock

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "models/nano/samples"
CHROMIUM = os.environ.get("FASTVLM_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
# A host name that browsers do not trust as they trust localhost: as a phone sees a server without https.
INSECURE_HOST = "page.test"
# Only a test that fails waits so long.
expect.set_options(timeout=60000)


class PageTest(unittest.TestCase):
    """Each class has a browser; each test its own profile, and no error or violation in its console."""

    camera = ["demo"]   # the pictures the fake camera shows in turn; none: there is no fake camera
    seconds = 3

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1"]
        if cls.camera:
            video = os.path.join(cls.directory.name, "camera.y4m")
            fake_camera.make(video, cls.seconds, [SAMPLES / f"{name}.png" for name in cls.camera])
            arguments += ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
                          f"--use-file-for-fake-video-capture={video}"]
        playwright = sync_playwright().start()
        cls.addClassCleanup(playwright.stop)
        cls.browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        cls.addClassCleanup(cls.browser.close)

    def setUp(self):
        self.complaints = []
        self.expected = ()  # parts of console messages that a test provokes

    def open(self, url, script=None, permissions=(), **options):
        context = self.browser.new_context(permissions=list(permissions), **options)
        self.addCleanup(context.close)
        page = context.new_page()
        page.on("console", lambda message: message.type == "error" and self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.add_init_script("window.violations = []; document.addEventListener('securitypolicyviolation',"
                             " (event) => window.violations.push(event.violatedDirective + ' ' + event.blockedURI));")
        if script:
            page.add_init_script(script)
        page.goto(url)
        self.page = page
        return page

    def ready(self, url, **options):
        page = self.open(url, **options)
        self.state("ready")
        return page

    def state(self, state):
        expect(self.page.locator("#status")).to_have_attribute("data-state", state, timeout=60000)

    def until(self, expression):
        """Playwright's wait_for_function evaluates its text in the page, which the page's policy forbids."""
        for _ in range(1200):
            if self.page.evaluate(expression):
                return
            self.page.wait_for_timeout(50)
        self.fail(f"never true: {expression}")

    def answered(self, text):
        expect(self.page.locator("#answer")).to_have_attribute("data-state", "done")
        expect(self.page.locator("#text")).to_have_text(text)

    def sample(self, index=0):
        self.page.locator("#samples button").nth(index).click()

    def turn_camera_on(self):
        self.page.click("#camera")
        expect(self.page.locator("#stage")).to_have_attribute("data-show", "video")
        self.until("document.getElementById('video').readyState >= 2")

    def tearDown(self):
        if not hasattr(self, "page"):
            return
        self.assertEqual(self.page.evaluate("window.violations"), [], "the content security policy was violated")
        complaints = [text for text in self.complaints if not any(part in text for part in self.expected)]
        self.assertEqual(complaints, [], "the console has errors")


class MockTest(PageTest):
    def setUp(self):
        super().setUp()
        self.mock = Mock().start()
        self.addCleanup(self.mock.stop)

    def picture(self, index=-1):
        """The bytes and the type of the picture of a question."""
        content = self.mock.requests[index]["messages"][-1]["content"]
        url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        kind, data = re.fullmatch(r"data:([^;]+);base64,(.*)", url).groups()
        return base64.b64decode(data), kind

    def prompt(self, index=-1):
        return next(part["text"] for part in self.mock.requests[index]["messages"][-1]["content"] if part["type"] == "text")

    def wait_for(self, condition):
        for _ in range(1200):
            if condition():
                return
            self.page.wait_for_timeout(50)
        self.fail("what was waited for did not come")

    def wait_for_requests(self, count):
        self.wait_for(lambda: len(self.mock.requests) >= count)
