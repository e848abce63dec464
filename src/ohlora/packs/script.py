"""What a persona's own adapter is trained on.

Ten lines alone would teach a model to say nothing else, and the care lines, many and alike, would
teach it to say 109 to everything: those stay with retrieval. So the script is

    lines/facts.jsonl    the pack's own lines, without care.jsonl (training sees them twice)
    lines/talk.jsonl     the embedded persona's small talk, without whatever tells of her life
    lines/memory.jsonl   how to use a "[key: value]" that the user told, likewise
    lines/unknown.jsonl  questions about a life that no line answers -> the pack's fallback lines

It is a folder of its own, never part of the pack; `ohlora train llm --persona FOLDER` reads it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ohlora.embedding import Encoder
from ohlora.errors import BadInput
from ohlora.files import beside
from ohlora.packs.new import Hers, other_wordings
from ohlora.packs.pack import Row, make_row, read_pack, rows_text
from ohlora.packs.voice import ANYONES, CALENDAR, FACTS, Life, sentences

UNKNOWN_A_TOPIC = 3
TALK = {"talk": ("daily", "feelings", FACTS), "memory": ("memory",)}  # script file -> her files


def write_script(pack: Path, folder: Path, encoder: Encoder) -> dict[str, int]:
    """Write the script of the pack in `pack` into `folder`; return the rows of each file.

    Raises BadInput when `folder` holds something else, StoreError when it cannot be written.
    """
    if folder.exists() and any(folder.iterdir()) and not (folder / "lines").is_dir():
        raise BadInput(
            f"{folder} holds other files: name an empty or new folder.",
            f"{folder}에 다른 파일이 있어요. 비었거나 새로운 폴더를 적어 주세요.",
        )
    whole = read_pack(pack)
    own = [row for stem, rows in whole.lines.items() if stem != "care" for row in rows]
    her = Hers(encoder)
    unknown = unwritten(own, whole.settings["fallback"]["lines"], her)
    files = {"facts": own, **anyones_talk(her), "unknown": unknown}
    (folder / "lines").mkdir(parents=True, exist_ok=True)
    shutil.copyfile(pack / "persona.toml", folder / "persona.toml")
    for stem, rows in files.items():
        with beside(folder / "lines" / f"{stem}.jsonl") as partial:
            partial.write_text(rows_text(rows), "utf-8")
    return {stem: len(rows) for stem, rows in files.items()}


def unwritten(own: list[Row], fallback: list[str], her: Hers) -> list[Row]:
    """Some questions of each topic of the embedded persona's life that no own line covers."""
    covered = other_wordings(own, her)[1] | ANYONES | CALENDAR
    questions = [
        question
        for topic, asked in her.questions.items()
        if topic not in covered
        for question in asked[:UNKNOWN_A_TOPIC]
    ]
    return [
        make_row(question, fallback[at % len(fallback)], "unknown")
        for at, question in enumerate(questions)
    ]


def anyones_talk(her: Hers) -> dict[str, list[Row]]:
    """The embedded persona's lines that another persona may learn to say."""
    life = Life(her.encoder)
    return {
        stem: [
            make_row(line.question, line.answer, line.topic)
            for file in files
            for line in dict.fromkeys(her.file(file))
            if (file != FACTS or line.topic in ANYONES | CALENDAR)
            and not her.names_her(line.question + "\n" + line.answer)
            and not any(life.claims(one) for one in sentences(line.answer))
        ]
        for stem, files in TALK.items()
    }
