"""How the page looks and reads: phones, themes, keyboard, labels, contrast; and two of its modules alone."""
import re
import unittest

from browser import MockTest, expect


class Appearance(MockTest):
    camera = None

    def test_a_phone(self):
        page = self.ready(self.mock.url, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
        page.locator("#samples button").first.tap()
        self.answered(re.compile("Describe"))
        self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), 360)
        small = page.evaluate("""() => [...document.querySelectorAll('button, label.tool, select')]
          .filter((element) => element.checkVisibility())
          .filter((element) => element.getBoundingClientRect().height < 32 || element.getBoundingClientRect().width < 32)
          .map((element) => element.id || element.textContent)""")
        self.assertEqual(small, [], "too small for a finger")
        expect(page.locator("#text")).to_be_in_viewport()

    def test_narrow_and_wide_windows_do_not_scroll_sideways(self):
        page = self.ready(self.mock.url)
        self.sample(4)
        self.answered(re.compile("Describe"))
        for width in (320, 600, 821, 1000, 1920):
            page.set_viewport_size({"width": width, "height": 700})
            self.assertLessEqual(page.evaluate("document.documentElement.scrollWidth"), width)

    def test_dark_and_light(self):
        page = self.ready(self.mock.url, color_scheme="dark")
        ground = "getComputedStyle(document.body).backgroundColor"
        dark = page.evaluate(ground)
        page.click("#theme")
        light = page.evaluate(ground)
        self.assertNotEqual(dark, light)
        self.assertEqual(page.evaluate("document.documentElement.dataset.theme"), "light")
        page.reload()
        self.assertEqual(page.evaluate(ground), light)
        page.click("#theme")
        self.assertEqual(page.evaluate(ground), dark)

    def test_keyboard_only(self):
        page = self.ready(self.mock.url)
        page.keyboard.press("Tab")
        expect(page.locator(".skip")).to_be_focused()
        reached = set()
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
            self.assertTrue(page.evaluate(FOCUS_SHOWS), page.evaluate("document.activeElement.outerHTML"))
        self.assertLessEqual({"theme", "open-settings", "camera", "live", "file", "prompt", "send", "keep", "chip"}, reached)
        page.locator("#samples button").nth(1).focus()
        page.keyboard.press("Enter")
        self.answered(re.compile("Describe"))
        page.keyboard.press("/")
        expect(page.locator("#prompt")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("What is cold?")
        page.keyboard.press("Enter")
        self.answered("An answer to: What is cold?")
        self.assertEqual(page.input_value("#prompt"), "What is cold?")
        page.locator("#open-settings").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#settings")).to_be_visible()
        page.uncheck("#shortcuts")
        page.keyboard.press("Escape")
        expect(page.locator("#open-settings")).to_be_focused()
        page.keyboard.press("/")
        expect(page.locator("#open-settings")).to_be_focused()  # switched off

    def test_labels_headings_and_contrast(self):
        for scheme in ("light", "dark"):
            page = self.ready(self.mock.url, color_scheme=scheme)
            self.sample()
            self.answered(re.compile("Describe"))
            self.assertEqual(page.evaluate(LABELS), [])
            self.assertEqual(page.evaluate(CONTRAST), [])
            page.click("#open-settings")
            self.assertEqual(page.evaluate(CONTRAST), [])
        tree = page.locator("body").aria_snapshot()
        self.assertIn('dialog "Settings"', tree)

    def test_it_can_be_installed(self):
        page = self.ready(self.mock.url)
        manifest = page.evaluate("fetch('manifest.webmanifest').then((response) => response.json())")
        self.assertEqual(manifest["display"], "standalone")
        for icon in manifest["icons"]:
            size = page.evaluate("""async (src) => {
              const image = new Image(); image.src = src; await image.decode(); return image.naturalWidth; }""", icon["src"])
            if icon["sizes"] != "any":
                self.assertEqual(f"{size}x{size}", icon["sizes"])


LABELS = """() => {
  const wrong = [];
  for (const element of document.querySelectorAll('button, input, select, textarea, a')) {
    const name = element.getAttribute('aria-label') || [...(element.labels ?? [])].map((label) => label.textContent).join('') ||
        element.textContent || element.querySelector('img')?.alt;
    if (!name?.trim()) wrong.push('no name: ' + element.outerHTML.slice(0, 80));
  }
  for (const image of document.images) if (!image.hasAttribute('alt')) wrong.push('no alt: ' + image.src);
  const ids = [...document.querySelectorAll('[id]')].map(({id}) => id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push('twice: ' + id);
  for (const label of document.querySelectorAll('label[for]')) {
    if (!document.getElementById(label.htmlFor)) wrong.push('label for nothing: ' + label.htmlFor);
  }
  if (document.querySelectorAll('h1').length !== 1) wrong.push('h1');
  if (!document.documentElement.lang) wrong.push('lang');
  if (!document.querySelector('#announce[aria-live]')) wrong.push('the answer is not announced');
  return wrong;
}"""

# An outline around the element or the label that stands for it; around the question, its card's border.
FOCUS_SHOWS = """() => {
  const element = document.activeElement;
  if (element === document.body) return true;
  if (element.id === 'prompt') {
    return getComputedStyle(element.form).borderColor !== getComputedStyle(document.getElementById('stage')).borderColor;
  }
  return [element, element.closest('label')].some((one) => one && getComputedStyle(one).outlineStyle === 'solid');
}"""

# WCAG 2's contrast of every text that is seen with the colour behind it: 4.5, or 3 when large.
CONTRAST = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
      .map((c) => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
      .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color.length === 3 || color[3] > 0.5) return color;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || element.closest(':disabled, .unseen, option')) continue;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(channels(style.color)), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (contrast < (large ? 3 : 4.5)) wrong.push(`${contrast.toFixed(2)} ${element.tagName} ${element.textContent.slice(0, 30)}`);
  }
  return wrong;
}"""


class Modules(MockTest):
    """Parts of the page alone, in the browser."""
    camera = None

    def test_change_gate(self):
        page = self.ready(self.mock.url)
        self.assertEqual(page.evaluate("""async () => {
          const {ChangeGate, difference, WIDTH, HEIGHT} = await import('/js/change_gate.js');
          let seed = 1;
          const random = () => (seed = seed * 48271 % 2147483647) / 2147483647;
          const scene = (change) => Uint8Array.from({length: WIDTH * HEIGHT}, (_, i) => change(i % WIDTH, Math.floor(i / WIDTH)));
          const base = scene((x, y) => 60 + 3 * x + 2 * y);
          const noisy = base.map((v) => v + Math.round(16 * random() - 8));
          const exposed = base.map((v) => v + 25);
          const object = (at) => scene((x, y) => Math.abs(x - at) < 5 && y > 6 && y < 16 ? 20 : 60 + 3 * x + 2 * y);
          const dark = base.map(() => 5);
          const gate = new ChangeGate();
          const log = [];
          const look = (frame, now) => { const pass = gate.look(frame, now); if (pass) gate.pass(frame); log.push(pass); };
          look(base, 0);          // true: the first
          look(noisy, 200);       // false: noise
          look(exposed, 400);     // false: exposure
          look(object(8), 600);   // false: something moves in
          look(object(12), 800);  // false: still moving
          look(object(12), 1000); // true: settled
          look(object(12), 1200); // false: asked
          for (let i = 0; i < 9; ++i) look(object(17 + 5 * (i % 3)), 1400 + 200 * i);  // never settles: true after 1.5 s
          const moved = log.splice(7);
          look(dark, 4000);
          look(dark, 4200);       // true: the light went out
          gate.reset();
          look(dark, 4400);       // true: another question
          return {log, once: moved.filter(Boolean).length, same: difference(base, base), all: difference(base, dark)};
        }"""), {"log": [True, False, False, False, False, True, False, False, True, True], "once": 1, "same": 0, "all": 1})

    def test_event_stream_cut_anywhere(self):
        page = self.ready(self.mock.url)
        self.assertEqual(page.evaluate("""async () => {
          const {events} = await import('/js/api.js');
          const stream = ': comment\\n\\ndata: {"a": "grün 🦊"}\\r\\n\\r\\ndata:two\\ndata: lines\\n\\nevent: x\\ndata: [DONE]\\n\\n';
          const bytes = new TextEncoder().encode(stream);
          const wrong = [];
          for (let size = 1; size <= bytes.length; ++size) {
            const body = new ReadableStream({start(controller) {
              for (let at = 0; at < bytes.length; at += size) controller.enqueue(bytes.slice(at, at + size));
              controller.close();
            }});
            const seen = [];
            for await (const data of events(body)) seen.push(data);
            if (JSON.stringify(seen) !== JSON.stringify(['{"a": "grün 🦊"}', 'two\\nlines', '[DONE]'])) wrong.push([size, seen]);
          }
          return wrong;
        }"""), [])


if __name__ == "__main__":
    unittest.main()
