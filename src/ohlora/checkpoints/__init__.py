"""Published model files: what exists, where it comes from, is it here, is it sound.

catalog.toml, catalog.py   every published file as a typed row
shapes.py                  the keys and shapes each network must hold
state.py, records.py       what lies on this machine; digests seen at first use
pull.py, fetch.py, hub.py  download, resume, check, put in place
verify.py                  digest, keys, shapes, finite values, the same synthesis as the original
bring.py                   import a folder laid out as the original's
convert.py                 .pth to safetensors
prepare.py, embedded.py    the models that come with the program

Nothing here is ever unpickled.
"""

from ohlora.checkpoints.catalog import Row, load_catalog, select
from ohlora.checkpoints.state import State, state_of

__all__ = ["Row", "State", "load_catalog", "select", "state_of"]
