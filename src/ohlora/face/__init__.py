"""Her face: from an expression to a frame.

    Expression(eyes, mouth, pose) --nearest--> Cell(e, m, p) --frame--> WebP bytes

A *lattice* is a small grid of expressions. Each of its cells is drawn once, kept, and then served
from memory. The frames come from a *frame pack* (a folder of pictures) or from a *renderer*
(a StyleGAN generator with one face vector z).
"""

from __future__ import annotations

from ohlora.face.lattice import Axes, Cell, Lattice
from ohlora.face.load import load_face
from ohlora.face.renderer import Renderer

__all__ = ["Axes", "Cell", "Lattice", "Renderer", "load_face"]
