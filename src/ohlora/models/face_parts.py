"""The eleven parts of a face that FaceXFormer tells apart; left and right as in the picture."""

CLASSES = (
    "background",
    "face",
    "left eyebrow",
    "right eyebrow",
    "left eye",
    "right eye",
    "nose",
    "upper lip",
    "inner mouth",
    "lower lip",
    "hair",
)
