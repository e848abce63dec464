"""Steering a face generator: wishes in standard deviations in, measured scores that match out.

    control.py     Directions: knobs, response, calibration for one face; the file   numpy only
    draw.py        batches of steered pictures                                       torch
    scorer.py      pictures to measured eyes, mouth, pose                            torch
    fit.py         find directions and their response for a generator                torch, sklearn
    published.py   Oh-LoRA v2's direction CSVs (VectorFind-v7)                        numpy only

The face runtime imports control.py alone and needs neither torch nor scikit-learn.
"""
