"""Sentence vectors of memories, kept beside the encoder that made them and the text they are of.

Here they are bytes (float32, little-endian), so that the store needs no numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from ohlora.memory.database import Database
from ohlora.memory.sessions import Owner

KEPT_AT_ONCE = 500  # rows per transaction, so that no turn waits long


def content_hash(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Vectors:
    def __init__(self, db: Database, owner: Owner) -> None:
        self._db, self._own = db, (owner.user, owner.persona)

    def load(self, encoder_id: str) -> dict[int, tuple[str, bytes]]:
        """Content hash and vector of every memory this encoder has read, by memory id."""
        with self._db.read() as db:
            rows = db.execute(
                "select e.memory_id, e.content_hash, e.vector from embeddings e "
                "join memories m on m.id = e.memory_id "
                "where m.user_id = ? and m.persona_id = ? and e.encoder_id = ?",
                (*self._own, encoder_id),
            ).fetchall()
        return {row[0]: (row[1], row[2]) for row in rows}

    def keep(self, encoder_id: str, rows: Sequence[tuple[int, str, bytes]]) -> None:
        """Store (memory id, content hash, vector) rows; those of memories purged since are left."""
        for start in range(0, len(rows), KEPT_AT_ONCE):
            with self._db.write() as db:
                db.executemany(
                    "insert or replace into embeddings "
                    "(memory_id, encoder_id, content_hash, vector) select id, ?, ?, ? "
                    "from memories where id = ? and user_id = ? and persona_id = ?",
                    [
                        (encoder_id, digest, vector, memory_id, *self._own)
                        for memory_id, digest, vector in rows[start : start + KEPT_AT_ONCE]
                    ],
                )
