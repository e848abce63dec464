"""The default weights of ohlora, as data: persona lines, LLM adapter, sentence encoder, face."""
