"""What is kept of the talks: sessions, turns, memories.

store.py      open_store, Store: begin_turn, append_event, finish_turn, events_after, recover
sessions.py   store.sessions: create, list, get, rename, delete, messages
memories.py   store.memories: remember, edit, delete, undo, get, all, search, history
dates.py      time words to days and back, expiry; Clock
database.py   the SQLite file, its faults in words, claim_home for the one server
schema.py     tables and migrations
"""

from ohlora.memory.database import claim_home
from ohlora.memory.memories import MemoryRecord
from ohlora.memory.store import Store, open_store

__all__ = ["MemoryRecord", "Store", "claim_home", "open_store"]
