"""The tiny random Llama that `train.tiny` makes, for what does not depend on knowledge."""

from train.tiny import save_tiny_llama, save_tokenizer

__all__ = ["save_tiny_llama", "save_tokenizer"]
