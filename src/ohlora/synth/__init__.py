"""Synthetic adult faces with exact ground truth, drawn from CC0 geometry. See docs/synth.md.

Needs torch, scipy, warp-lang and pyarrow (extras `torch` and `synth`); nothing else of ohlora
imports this package but the pipeline that trains on it.
"""
