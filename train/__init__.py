"""Training: SFT, GRPO and the paper's enhancements (arXiv 2505.21908) over TRL. Run from the project's root; see docs/training.md."""
