"""The page against a server that is played (mock_server.py): every state a user can get it into."""
import base64
import re
import unittest

from browser import INSECURE_HOST, SAMPLES, MockTest, expect
from mock_server import ROOT

NETWORK = "Failed to load resource"  # what Chromium's console says about every failed request


class Answers(MockTest):
    camera = ["demo", "fox"]

    def test_a_sample_is_answered_with_its_times(self):
        page = self.ready(self.mock.url)
        self.sample(1)
        self.answered("An answer to: Describe the image in one or two sentences.")
        body = self.mock.requests[0]
        self.assertEqual(self.picture(), ((SAMPLES / "fox.png").read_bytes(), "image/png"))
        self.assertEqual(body["model"], "fastvlm-mock")
        self.assertEqual((body["max_tokens"], body["stream"], body["temperature"]), (160, True, 0))
        self.assertNotIn("resolution", body)
        self.assertEqual(body["background"], "white")
        ttft = page.locator("#ttft").inner_text()
        self.assertRegex(ttft, r"^[\d.]+ m?s$")
        self.assertGreaterEqual(float(ttft.split()[0]), 30 if ttft.endswith("ms") else 0)  # the mock waits 30 ms
        rate = float(re.fullmatch(r"([\d.]+) tokens/s", page.locator("#speed").inner_text()).group(1))
        self.assertLessEqual(rate, 200)  # the mock waits 5 ms for each of them
        self.assertEqual(page.locator("#tokens").inner_text(), "280 in, 12 out")
        self.assertEqual(page.locator("#encode-ms").inner_text(), "18 ms")
        self.assertEqual(page.locator("#announce").text_content(), self.mock.answer(self.prompt()))

    def test_ready_questions_and_choices_change_what_is_asked(self):
        page = self.ready(self.mock.url)
        self.assertEqual(page.locator(".chip").all_inner_texts(), ["Describe", "Expression", "Read text", "Count", "Emoji"])
        self.sample()
        self.answered(re.compile("Describe the image"))
        page.select_option("#resolution", "512")
        page.select_option("#length", "16")
        page.click("text=Read text")
        self.answered(re.compile("What is written"))
        self.assertEqual(page.locator(".chip[aria-pressed=true]").inner_text(), "Read text")
        self.assertEqual((self.mock.requests[-1]["resolution"], self.mock.requests[-1]["max_tokens"]), (512, 16))
        self.assertEqual(self.picture(0), self.picture(1))  # the same bytes, which the server has seen
        page.reload()
        self.state("ready")
        self.assertEqual((page.input_value("#resolution"), page.input_value("#length")), ("512", "16"))

    def test_the_small_model_is_asked_what_it_knows(self):
        self.mock.model = "fastvlm-nano"
        page = self.ready(self.mock.url)
        self.assertIn("Color", page.locator(".chip").all_inner_texts())
        self.assertNotIn("Expression", page.locator(".chip").all_inner_texts())
        self.sample(2)
        self.answered(re.compile("How many bananas are there"))
        page.fill("#prompt", "My own words?")
        self.sample(0)
        self.answered(re.compile("My own words"))

    def test_own_questions_are_kept_and_removed(self):
        page = self.ready(self.mock.url)
        page.fill("#prompt", "Is the door open?")
        page.click("#keep")
        page.fill("#keep-name", "Door")
        page.click("#keep-form >> text=Keep >> nth=-1")
        expect(page.locator(".chip", has_text="Door")).to_have_attribute("aria-pressed", "true")
        page.reload()
        self.state("ready")
        page.locator(".chip", has_text="Door").click()
        self.assertEqual(page.input_value("#prompt"), "Is the door open?")
        page.click("#open-settings")
        page.click("#own >> text=Remove")
        page.keyboard.press("Escape")
        expect(page.locator(".chip", has_text="Door")).to_have_count(0)

    def test_history_restores_copies_and_clears(self):
        page = self.ready(self.mock.url, permissions=["clipboard-read", "clipboard-write"])
        self.sample(0)
        self.answered(re.compile("Describe"))
        page.click("text=Count")
        self.answered(re.compile("Which objects"))
        expect(page.locator("#history-list li")).to_have_count(2)
        page.reload()  # kept in the tab
        page.locator("#history-list button").nth(1).click()
        self.answered(re.compile("Describe"))
        self.assertIn("Describe", page.input_value("#prompt"))
        page.click("#copy")
        expect(page.locator("#announce")).to_have_text("Copied")
        self.assertEqual(page.evaluate("navigator.clipboard.readText()"), page.locator("#text").inner_text())
        page.click("#clear")
        expect(page.locator("#history")).to_be_hidden()

    def test_a_picture_comes_by_upload_drop_and_paste(self):
        page = self.ready(self.mock.url)
        page.set_input_files("#file", SAMPLES / "text.png")
        self.answered(re.compile("Describe"))
        self.assertEqual(self.picture()[0], (SAMPLES / "text.png").read_bytes())
        page.evaluate("""async () => {
          const file = new File([await (await fetch('samples/one.png')).blob()], 'one.png', {type: 'image/png'});
          window.transfer = new DataTransfer();
          transfer.items.add(file);
        }""")
        for kind, event in (("drop", "DragEvent"), ("paste", "ClipboardEvent")):
            field = "dataTransfer" if kind == "drop" else "clipboardData"
            count = len(self.mock.requests)
            page.evaluate(f"dispatchEvent(new {event}('{kind}', {{{field}: transfer, bubbles: true, cancelable: true}}))")
            self.wait_for_requests(count + 1)
            self.answered(re.compile("Describe"))
            self.assertEqual(self.picture()[0], (SAMPLES / "one.png").read_bytes(), kind)
        self.expected = ()
        page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"no picture"})
        expect(page.locator("#notice")).to_contain_text("no picture")

    def test_a_large_or_unusual_picture_is_made_smaller(self):
        page = self.ready(self.mock.url)
        page.evaluate("""() => new Promise((resolve) => {
          const canvas = document.createElement('canvas');
          canvas.width = 3000; canvas.height = 1500;
          canvas.getContext('2d').fillRect(0, 0, 1500, 1500);
          canvas.toBlob((blob) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([blob], 'large.tiff', {type: 'image/x-unusual'}));
            dispatchEvent(new DragEvent('drop', {dataTransfer: transfer, cancelable: true}));
            resolve();
          });
        })""")
        self.answered(re.compile("Describe"))
        data, kind = self.picture()
        self.assertEqual(kind, "image/jpeg")
        size = page.evaluate("""async (base64) => {
          const bitmap = await createImageBitmap(await (await fetch('data:image/jpeg;base64,' + base64)).blob());
          return [bitmap.width, bitmap.height];
        }""".replace("await (await fetch('data:image/jpeg;base64,' + base64)).blob()",
                     "new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))])"), base64.b64encode(data).decode())
        self.assertEqual(size, [2048, 1024])

    def test_stop_ends_the_request_and_keeps_the_words(self):
        self.mock.token_s = 0.2
        self.mock.answer = lambda prompt: "one two three four five six seven eight nine ten " * 50
        page = self.ready(self.mock.url)
        self.sample()
        expect(page.locator("#text")).to_contain_text("two")
        self.assertEqual(page.locator("#send").get_attribute("aria-label"), "Stop")
        page.keyboard.press("Escape")
        expect(page.locator("#answer")).to_have_attribute("data-state", "done")
        expect(page.locator("#send")).to_have_attribute("aria-label", "Ask")
        self.assertIn("two", page.locator("#text").inner_text())
        self.wait_for(lambda: self.mock.cancelled == 1)

    def test_the_camera_is_asked_paused_and_turned_off(self):
        page = self.ready(self.mock.url)
        self.turn_camera_on()
        page.click("#send")
        self.answered(re.compile("Describe"))
        data, kind = self.picture()
        self.assertEqual((kind, data[:2]), ("image/jpeg", b"\xff\xd8"))
        page.click("#pause")
        expect(page.locator("#badge")).to_have_text("Paused")
        for name in ("Count", "Emoji"):
            count = len(self.mock.requests)
            page.click(f"text={name}")
            self.wait_for_requests(count + 1)
            expect(page.locator("#answer")).to_have_attribute("data-state", "done")
        self.assertEqual(self.picture(-1), self.picture(-2))  # paused: the same bytes
        page.click("#pause")
        expect(page.locator("#badge")).to_be_hidden()
        page.click("#camera")
        expect(page.locator("#message-title")).to_have_text("Show it something")
        self.assertIsNone(page.evaluate("document.getElementById('video').srcObject"))

    def test_live_asks_once_for_each_scene(self):
        page = self.ready(self.mock.url)
        page.click("#live")
        expect(page.locator("#badge")).to_have_text("Live")
        self.wait_for_requests(4)  # the camera shows two scenes in turn
        page.click("#live")
        expect(page.locator("#send")).to_have_attribute("aria-label", "Ask")  # the last one is answered
        count = len(self.mock.requests)
        scenes = [page.evaluate(BRIGHTNESS, base64.b64encode(self.picture(i)[0]).decode()) for i in range(count)]
        for before, after in zip(scenes, scenes[1:]):
            self.assertGreater(abs(before - after), 10, scenes)
        self.assertEqual(self.mock.most_open, 1)
        page.wait_for_timeout(3500)  # longer than a scene
        self.assertEqual(len(self.mock.requests), count)  # off is off

    def test_live_never_has_two_questions_open(self):
        self.mock.may_answer.clear()
        page = self.ready(self.mock.url)
        page.click("#live")
        self.wait_for_requests(1)
        page.wait_for_timeout(4000)  # there is another scene meanwhile
        self.assertEqual(len(self.mock.requests), 1)
        self.mock.may_answer.set()
        self.wait_for_requests(3)
        self.assertEqual(self.mock.most_open, 1)
        page.click("#live")


# The mean grey level of a picture, from the base64 of its file.
BRIGHTNESS = """async (base64) => {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))]));
  const context = new OffscreenCanvas(16, 16).getContext('2d');
  context.drawImage(bitmap, 0, 0, 16, 16);
  const {data} = context.getImageData(0, 0, 16, 16);
  return data.reduce((sum, value, i) => sum + (i % 4 < 3 ? value : 0), 0) / (3 * 16 * 16);
}"""


class StillScene(MockTest):
    camera = ["demo"]

    def test_live_does_not_ask_about_an_unchanged_scene(self):
        page = self.ready(self.mock.url)
        page.click("#live")
        self.wait_for_requests(1)
        page.wait_for_timeout(4000)
        self.assertEqual(len(self.mock.requests), 1)
        page.click("text=Count")  # another question about it is asked at once, and once
        self.wait_for_requests(2)
        page.wait_for_timeout(1500)
        self.assertEqual(len(self.mock.requests), 2)
        self.assertIn("how many", self.prompt())

    def test_live_survives_a_server_restart(self):
        self.expected = (NETWORK,)
        page = self.ready(self.mock.url)
        page.click("#live")
        self.wait_for_requests(1)
        self.answered(re.compile("Describe"))
        self.mock.stop()
        page.click("text=Count")
        self.state("gone")
        expect(page.locator("#notice")).to_contain_text("does not answer")
        self.mock.start()
        self.state("ready")
        expect(page.locator("#notice")).to_be_hidden()
        self.answered(re.compile("how many"))

    def test_front_and_back(self):
        # The fake camera is one; the page asks the browser for the other direction.
        page = self.ready(self.mock.url, script="""
          const real = MediaDevices.prototype.getUserMedia;
          window.asked = [];
          MediaDevices.prototype.getUserMedia = async function(constraints) {
            asked.push(constraints.video.facingMode?.ideal);
            const stream = await real.call(this, {video: true});
            const facingMode = asked.at(-1);
            stream.getVideoTracks()[0].getSettings = () => ({facingMode, deviceId: facingMode});
            return stream;
          };
          const list = MediaDevices.prototype.enumerateDevices;
          MediaDevices.prototype.enumerateDevices = async function() {
            const [one] = (await list.call(this)).filter(({kind}) => kind === 'videoinput');
            return [one, one];
          };""")
        self.turn_camera_on()
        self.assertFalse(page.evaluate("video.classList.contains('mirror')"))
        for mirrored in (True, False):
            page.click("#flip")
            expect(page.locator("#video")).to_have_class("mirror" if mirrored else "")
        self.assertEqual(page.evaluate("asked"), ["environment", "user", "environment"])

    def test_a_camera_that_goes_away(self):
        page = self.ready(self.mock.url)
        page.click("#live")
        expect(page.locator("#badge")).to_have_text("Live")
        page.evaluate("video.srcObject.getVideoTracks()[0].dispatchEvent(new Event('ended'))")
        expect(page.locator("#message-title")).to_have_text("The camera went away")
        expect(page.locator("#live")).to_have_attribute("aria-pressed", "false")


class WithoutCamera(MockTest):
    camera = None

    def test_a_denied_camera_is_explained_and_the_rest_works(self):
        page = self.ready(self.mock.url, script="""
          // Without a device Chromium reports that first; a denial is what this test is about.
          MediaDevices.prototype.getUserMedia = async () => {
            throw new DOMException('Permission denied', 'NotAllowedError');
          };""")
        page.click("#live")
        expect(page.locator("#message-title")).to_have_text("The camera is not allowed")
        expect(page.locator("#live")).to_have_attribute("aria-pressed", "false")
        self.sample()
        self.answered(re.compile("Describe"))

    def test_no_camera_and_a_camera_in_use(self):
        for name, title in (("NotFoundError", "No camera found"), ("NotReadableError", "The camera is in use")):
            page = self.ready(self.mock.url, script=f"""
              MediaDevices.prototype.getUserMedia = async () => {{ throw new DOMException('x', '{name}'); }};""")
            page.click("#message-camera")
            expect(page.locator("#message-title")).to_have_text(title)

    def test_the_browsers_own_refusal(self):
        # No fake device and no permission: whichever of the two this Chromium finds first.
        page = self.ready(self.mock.url)
        page.click("#message-camera")
        expect(page.locator("#message-title")).to_have_text(re.compile("not allowed|No camera"))

    def test_http_from_elsewhere_says_what_to_do(self):
        page = self.ready(self.mock.url.replace("127.0.0.1", INSECURE_HOST))
        self.assertFalse(page.evaluate("isSecureContext"))
        expect(page.locator("#message-title")).to_have_text("The camera needs https")
        expect(page.locator("#message-code")).to_contain_text("--tls-cert")
        page.set_input_files("#photo", SAMPLES / "fox.png")
        self.answered(re.compile("Describe"))
        page.click("#camera")
        expect(page.locator("#message-title")).to_have_text("The camera needs https")

    def test_no_server_then_a_server(self):
        self.expected = (NETWORK,)
        page = self.ready(self.mock.url)
        self.until("navigator.serviceWorker.controller !== null")
        self.mock.stop()
        self.sample()  # from the cache; the question cannot be answered
        self.state("gone")
        self.mock.start()
        self.state("ready")
        self.answered(re.compile("Describe"))  # asked again by itself
        expect(page.locator("#notice")).to_be_hidden()

    def test_a_connection_that_breaks_in_the_middle(self):
        page = self.ready(self.mock.url)
        self.mock.break_after = 3
        self.sample()
        self.wait_for_requests(2)  # asked again, because the server is there
        self.mock.break_after = None
        self.answered("An answer to: Describe the image in one or two sentences.")
        self.assertEqual(page.locator("#history-list li").count(), 1)

    def test_a_key(self):
        self.expected = (NETWORK,)
        self.mock.key = "sesame"
        page = self.open(self.mock.url)
        self.state("key")
        expect(page.locator("#key")).to_be_focused()
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#notice")).to_contain_text("does not take this key")
        page.fill("#key", "sesame")
        page.keyboard.press("Enter")
        self.state("ready")
        expect(page.locator("#key-form")).to_be_hidden()
        self.sample()
        self.answered(re.compile("Describe"))
        self.assertIsNone(page.evaluate("localStorage.getItem('fastvlm.key')"))  # not unless asked to
        page.reload()
        self.state("ready")

    def test_a_busy_server_is_asked_again(self):
        self.expected = (NETWORK,)
        page = self.ready(self.mock.url)
        self.mock.busy = 1
        self.sample()
        expect(page.locator("#notice")).to_contain_text("busy")
        self.answered(re.compile("Describe"))
        expect(page.locator("#notice")).to_be_hidden()
        self.assertEqual(len(self.mock.requests), 2)

    def test_a_refused_question_shows_the_servers_words(self):
        self.expected = (NETWORK,)
        page = self.ready(self.mock.url)
        self.mock.error = (400, "The resolution must be a multiple of 32.")
        self.sample()
        expect(page.locator("#notice")).to_have_text("The resolution must be a multiple of 32.")
        self.mock.error = None
        page.click("#send")
        self.answered(re.compile("Describe"))
        expect(page.locator("#notice")).to_be_hidden()

    def test_a_model_that_is_being_loaded(self):
        self.expected = (NETWORK,)
        self.mock.loading = True
        page = self.open(self.mock.url)
        self.state("loading")
        expect(page.locator("#notice")).to_contain_text("being loaded")
        self.mock.loading = False
        self.state("ready")
        expect(page.locator("#notice")).to_be_hidden()

    def test_a_server_that_refuses_says_why(self):
        self.expected = (NETWORK,)
        self.mock.forbidden = "This name is not allowed; --allow-host allows it."
        page = self.open(self.mock.url)
        self.state("refused")
        expect(page.locator("#notice")).to_have_text(self.mock.forbidden)

    def test_an_answer_that_took_too_long_is_not_asked_again(self):
        self.expected = (NETWORK,)
        page = self.ready(self.mock.url)
        self.mock.error = (504, "The request took longer than 300 s.")
        self.sample()
        expect(page.locator("#notice")).to_have_text("The request took longer than 300 s.")
        page.wait_for_timeout(1500)
        self.assertEqual(len(self.mock.requests), 1)

    def test_it_opens_offline_and_finds_the_server_again(self):
        self.expected = (NETWORK, "ERR_FAILED")
        page = self.ready(self.mock.url)
        page.evaluate("navigator.serviceWorker.ready")
        self.until("navigator.serviceWorker.controller !== null")
        files = page.evaluate("""async () => {
          const cache = await caches.open('fastvlm-page');
          return (await cache.keys()).map(({url}) => new URL(url).pathname);
        }""")
        web = {"/" + str(path.relative_to(ROOT / "web")) for path in (ROOT / "web").rglob("*") if path.is_file()}
        samples = {path for path in files if path.startswith("/samples/")}
        self.assertEqual(set(files) - samples, web - {"/index.html", "/CMakeLists.txt", "/sw.js"} | {"/"})
        self.assertEqual(len(samples), page.locator("#samples img").count())
        self.mock.stop()
        page.reload()
        self.state("gone")
        expect(page.locator("#samples img").first).to_be_visible()
        self.sample(1)
        self.mock.start()
        self.state("ready")
        self.answered(re.compile("Describe"))

    def test_the_policy_holds(self):
        self.expected = ("Content Security Policy", "Content-Security-Policy")
        page = self.ready(self.mock.url)
        page.evaluate("""() => {
          const script = document.createElement('script');
          script.textContent = 'window.injected = true';
          document.body.append(script);
        }""")
        self.assertIsNone(page.evaluate("window.injected ?? null"))
        self.until("window.violations.length > 0")  # so the other tests would see one
        page.evaluate("window.violations = []")

if __name__ == "__main__":
    unittest.main()
