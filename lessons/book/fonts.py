"""A font for mathematics, cut down to the signs that formulas use, inside the style sheet.

MathML is as good as the font it is set in: one with a table that says how large a sum is and where
an index sits. Not every machine has one. ziamath carries STIX Two Math (SIL Open Font License).
"""

from __future__ import annotations

import base64
from io import BytesIO
from pathlib import Path

SIGNS = [
    (0x20, 0x7E), (0xA0, 0xFF), (0x302, 0x304), (0x391, 0x3F5), (0x2010, 0x2044),
    (0x2061, 0x2064), (0x2070, 0x209C), (0x2102, 0x2134), (0x2190, 0x21D4), (0x2200, 0x22FF),
    (0x2308, 0x230B), (0x239B, 0x23B3),
    (0x27E8, 0x27E9), (0x1D400, 0x1D467), (0x1D6A4, 0x1D71B), (0x1D7CE, 0x1D7D7),
]  # fmt: skip


def css() -> str:
    """A style sheet that sets mathematics in the font."""
    import ziamath
    from fontTools import subset

    path = Path(ziamath.__file__).parent / "fonts" / "STIXTwoMath-Regular.ttf"
    options = subset.Options(flavor="woff", layout_features=["ssty", "kern"], notdef_outline=True)
    font = subset.load_font(str(path), options)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for first, last in SIGNS for code in range(first, last + 1)])
    cutter.subset(font)
    buffer = BytesIO()
    subset.save_font(font, buffer, options)
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        '@font-face{font-family:"Book Math";font-display:block;'
        f'src:url(data:font/woff;base64,{data}) format("woff")}}\n'
        'math{font-family:"Book Math","STIX Two Math","Cambria Math",math}\n'
    )
