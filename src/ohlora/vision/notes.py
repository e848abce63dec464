"""What a row of results can say about its picture.

status            meaning                                       row has results
  ok              a face was found and measured                 yes
  no-face         a sound picture without a face                no
  too-small       smaller than the smallest face we look for    no
  too-large       more pixels than we read                      no
  not-an-image    no picture format we know                     no
  damaged         a picture file that breaks off or is broken   no
  unreadable      the file cannot be opened                     no

Beside the status stands a note for people, in English and Korean.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Status = Literal["ok", "no-face", "too-small", "too-large", "not-an-image", "damaged", "unreadable"]


class Note(NamedTuple):
    en: str
    ko: str

    def text(self, language: str) -> str:
        return self.ko if language == "ko" else self.en


def join(notes: tuple[Note, ...], language: str) -> str:
    return "; ".join(dict.fromkeys(note.text(language) for note in notes))


def split(joined: str) -> tuple[Note, ...]:
    """The notes that `join` wrote, in the one language that they were written in."""
    return tuple(Note(text, text) for text in joined.split("; ") if text)
