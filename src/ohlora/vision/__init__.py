"""Faces in pictures: find, parse, measure, look at them.

images.py     files of any kind to RGB, or a status that says why not      notes.py  the statuses
detect.py     boxes and crops (MTCNN)             parse.py      class maps (FaceXFormer)
scores.py     seven property scores, v1 and v2    normalise.py  in standard deviations
stages.py     detect, parse, score: a batch of pictures to rows
batch.py      a stage over many pictures          table.py      the rows on disk, resumable
parsed.py     folders of parsed faces             overlay.py, report.py  to look at
weights.py    the published files

torch is imported only where a network runs.
"""
