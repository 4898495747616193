"""Hanzi to pinyin with Hugging Face Transformers."""
