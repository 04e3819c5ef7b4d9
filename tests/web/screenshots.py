"""Makes docs/images/page-*.jpg with the program and the bundled model; run.sh's environment runs it:

FASTVLM_PROGRAM=build/release/bin/fastvlm build/test/tests/web/venv/bin/python tests/web/screenshots.py
"""
import pathlib
import sys
import unittest

import serve_test
from browser import ROOT, expect

IMAGES = ROOT / "docs/images"
PHONE = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 1.5, "is_mobile": True, "has_touch": True}


class Screenshots(serve_test.ServeTest):
    camera = ["fox"]

    def shoot(self, name, **options):
        page = self.page
        page.wait_for_timeout(1500)
        page.mouse.move(0, 0)
        page.screenshot(path=IMAGES / f"{name}.jpg", type="jpeg", quality=86)

    def test_all(self):
        IMAGES.mkdir(parents=True, exist_ok=True)
        url = self.serve()
        self.ready(url, viewport={"width": 1200, "height": 760})
        for index in (2, 5, 0):
            self.sample(index)
            expect(self.page.locator("#answer")).to_have_attribute("data-state", "done")
        self.page.evaluate("document.activeElement.blur()")
        self.shoot("page-light")
        for name, options in (("page-dark", {"viewport": {"width": 1200, "height": 760}, "color_scheme": "dark"}),
                              ("page-phone", PHONE)):
            self.ready(url, **options)
            self.turn_camera_on()
            self.page.click("#live")
            expect(self.page.locator("#text")).to_contain_text("fox")
            expect(self.page.locator("#answer")).to_have_attribute("data-state", "done")
            self.page.locator(".chip", has_text="Color").click()
            expect(self.page.locator("#history-list li")).to_have_count(2)
            self.page.locator(".chip", has_text="Describe").click()
            expect(self.page.locator("#history-list li")).to_have_count(3)
            self.shoot(name)


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    unittest.main(argv=["screenshots", "Screenshots"])
