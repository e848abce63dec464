"""The stages, in the order they are done."""

from __future__ import annotations

from ohlora.pipeline.faces import cnn, filter_faces, label, near, synthesise
from ohlora.pipeline.generators import base, domain, v1, v3, v4
from ohlora.pipeline.judge import accept_all, directions, pack
from ohlora.pipeline.measure import (
    parse,
    parser,
    property_cnn,
    published_files,
    score,
)
from ohlora.pipeline.stage import Stage

STAGES = (
    Stage("synthesise", "Draw faces", "얼굴 그리기", (), synthesise),
    Stage("label", "Label some by hand", "일부에 라벨 붙이기", ("synthesise",), label),
    Stage("cnn", "Gender and quality CNNs", "성별·품질 CNN", ("label",), cnn),
    Stage("filter", "Keep good pictures of women", "좋은 여성 그림만 남기기",
          ("synthesise", "label", "cnn"), filter_faces),
    Stage("parser", "Face parsers", "얼굴 파서", ("synthesise",), parser,
          version=2, outside=published_files),  # 2: first weights follow from the seed
    Stage("parse", "Parse every face", "모든 얼굴 파싱", ("filter", "parser"), parse),
    Stage("score", "Seven scores", "일곱 가지 점수", ("synthesise", "parse"), score),
    Stage("property", "Property CNN, new labels", "속성 CNN과 새 라벨", ("filter", "score"),
          property_cnn),
    Stage("base", "StyleGAN from nothing", "처음부터 StyleGAN", ("filter",), base),
    Stage("v1", "FineTune-v1", "FineTune-v1", ("filter", "score", "base"), v1),
    Stage("v3", "FineTune-v3", "FineTune-v3", ("filter", "cnn", "property", "v1"), v3),
    Stage("v4", "FineTune-v4", "FineTune-v4", ("filter", "property", "v1"), v4),
    Stage("near", "Draw her and women near her", "그녀와 닮은 사람 그리기", (), near),
    Stage("domain", "Generator taught by the renderer", "렌더러가 가르치는 생성기", ("near",),
          domain),
    Stage("directions", "Directions", "방향", ("parser", "domain"), directions),
    Stage("accept", "Acceptance", "합격 시험",
          ("parser", "property", "v3", "v4", "near", "domain", "directions"), accept_all),
    Stage("pack", "Face pack", "얼굴 팩", ("domain", "directions", "accept"), pack),
)  # fmt: skip
NAMES = tuple(stage.name for stage in STAGES)
