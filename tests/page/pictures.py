"""Makes the pictures of the documentation: the fleet wide, light and dark, and on a phone, and a host.

PICTURES is the folder that they go to.
"""

import os
import shutil
import subprocess

from stage import chromium, expect, say, settle, watched

FOLDER = os.environ["PICTURES"]

# Name, view, colours, width, height, and how many pixels a point has.
PICTURES = [
    ("fleet-light", "/", "light", 1280, 800, 1),
    ("fleet-dark", "/", "dark", 1280, 800, 1),
    ("host-light", "/hosts/attic", "light", 1280, 800, 1),
    ("fleet-phone", "/", "light", 390, 844, 2),
]


def shrink(path):
    """64 colours are enough for flat areas and text, and take a third of the bytes."""
    before = os.path.getsize(path)
    if shutil.which("pngquant"):
        subprocess.run(["pngquant", "--force", "--skip-if-larger", "--strip", "--output", path, "64", path], check=False)
        say(f"{os.path.basename(path)}: {before} bytes, shrunk to {os.path.getsize(path)}")
    else:
        say(f"{os.path.basename(path)}: {before} bytes; with Debian's pngquant it would be smaller")


os.makedirs(FOLDER, exist_ok=True)
with chromium() as browser:
    for name, path, scheme, width, height, scale in PICTURES:
        with watched(browser, color_scheme=scheme, viewport={"width": width, "height": height},
                     device_scale_factor=scale) as one:
            page = one.sign_in("viewer")
            one.open(path)
            settle(page)
            expect(page.get_by_text("Live", exact=True)).to_be_attached()
            # What is asked for when rows are in view.
            page.wait_for_timeout(1500)
            file = os.path.join(FOLDER, f"{name}.png")
            page.screenshot(path=file, animations="disabled")
            shrink(file)
