"""ohlora: an open virtual human that anyone can build, train and talk to."""

__version__ = "0.1.0"
