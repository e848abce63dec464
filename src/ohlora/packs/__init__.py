"""Persona packs as things to make, carry and check. Reading one to talk is ohlora.persona.

pack.py      a pack in memory, read from its folder
new.py       ten written lines -> a pack that talks
written.py   the file of written lines
card.py      Character Card V2 and V3: JSON, macros, example dialogues
png.py       cards inside PNG pictures
charx.py     .charx archives
mapping.py   card <-> pack
carry.py     import and export of whole files
place.py     a pack onto the disk: whole, or not at all
check.py     every problem of a pack, by file and line
voice.py     which language model speaks for a persona

PACK/persona.toml  lines/*.jsonl  lines/answers.toml       needed
PACK/adapter/      a LoRA adapter in PEFT's layout         optional
PACK/face/         a frame pack, z.csv                     optional
PACK/card.json  picture.png  assets/                       what an imported card brought
"""
