"""Her face from nothing: from an empty folder to a face pack, in stages that can be stopped.

stage.py       what a stage is, its fingerprint, what is remembered of it
stages.py      the list of stages, read top to bottom
faces.py       synthesise, label, cnn, filter, near
measure.py     parser, parse, score, property
generators.py  base, v1, v3, v4, domain
judge.py       directions, accept, pack
presets.py     tiny, cpu, gpu: the options of every stage
options.py     `stage.option=value`
run.py         do what is missing or out of date
sheets.py      pictures for the eye       report.py, plots.py   OUT/report.html
"""
