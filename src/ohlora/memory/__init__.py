"""What is kept of the talks: sessions, turns, memories.

store.py      open_store, Store: begin_turn, append_event, finish_turn, events_after, recover
sessions.py   store.sessions: create, list, get, rename, delete, messages
memories.py   store.memories: remember, edit, delete, undo, get, all, search, history, purge
told.py       memory events in the log, without what the user said
vectors.py    store.vectors: sentence vectors beside their encoder and their text
records.py    MemoryRecord, and text fit to be one
asking.py     what a message asks for, by its words
recall.py     Recall.best: which memories belong to what was just said
extract/      extract: what a message tells that is worth remembering, or forgetting
findings.py   apply: what extract found goes into the store
summary.py    what older turns of a long conversation said
dates.py      time words to days and back, expiry; Clock
audit.py      what is kept and what looks wrong
v1_file.py    v1's memory file: its choice, its saving, import and export
database.py   the SQLite file, its faults in words, claim_home for the one server
schema.py     tables and migrations
"""

from ohlora.memory.database import claim_home
from ohlora.memory.records import MemoryRecord
from ohlora.memory.store import Store, open_store

__all__ = ["MemoryRecord", "Store", "claim_home", "open_store"]
